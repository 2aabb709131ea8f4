"""Wishes to opt out in plain words: which sentences are one, and which are only like one."""

from time import process_time

import pytest

from app.tracking.mail.opt_out import LONGEST_WISH, opt_out_wish

WISHES = [
    "please unsubscribe me", "Please remove me from your mailing list.", "take me off your list", "Stop emailing me!",
    "I want to opt out", "no more emails please", "Please don't contact me anymore", "stop sending me these emails",
    "Please unsubscribe me.\n\nThanks,\nJohn", "Could you please remove my email address from your list",
    "I no longer wish to receive these emails", "请退订", "请帮我退订", "麻烦退订一下，谢谢", "请不要再给我发邮件了",
    "别再发了", "不要再发短信", "我不想再收到你们的邮件", "取消订阅，谢谢", "请把我从邮件列表中删除", "Please stop.",
    "please stop", "stop please", "Stop, please!", "Kindly stop", "Pls stop now", "just stop", "STOP IT",
    "stop this please", "Please, stop.", "PLEASE STOP!!!", "stop stop stop", "please stop immediately",
    "Please cease", "I would like you to stop", "Can you stop", "Hello, please stop", "no thanks, please stop",
    "Please make it stop", "Not interested, please stop", "Thanks, but please stop", "please stop. thanks",
    "Please stop.\n\nThank you,\nAnn", "please remove me", "Remove me please", "kindly remove me",
    "please remove us now", "no more please", "No more.", "take me off", "Take me off this list",
    "please take me off the list", "take us off your mailing list", "get me off", "please take me off of this",
    "remove from list", "Remove this address from your list", "please unsub", "unsubscribe this email",
    "leave me alone", "Please leave us alone", "I hereby opt out", "I hereby unsubscribe", "stop bothering me",
    "stop writing to me", "please stop contacting us", "stop sending me anything", "stop spamming",
    "stop with the emails", "no further messages please", "Don't send me anything else", "never contact me again",
    "I don't want to hear from you again", "we do not wish to be contacted",
    "I don't want to receive anything from you", "Hi,\n\nPlease unsubscribe me.\n\nThanks", "Hello Ann,\nplease stop",
    "Dear Sir or Madam,\n\nunsubscribe\n\nRegards", "No thanks. Please stop.",
    "I'm not interested. Take me off your list.", "No, thanks. Unsubscribe",
    "Please remove me from\nyour mailing list", "I would like you to stop sending\nme these emails",
    "Can you please stop sending me emails?", "Could you take me off your list?", "Will you stop?",
    "Would you please remove me from the mailing list? Thanks", "can you unsubscribe me?", "Could you stop?!", "停止",
    "请停止", "停", "请停止。", "请立即停止", "请停止，谢谢", "麻烦停止一下", "请停止发送", "停止发送",
    "停止发送短信", "请停止发送邮件", "请停止给我发邮件", "停止推送", "停止骚扰", "请停止打扰我", "别发了",
    "不要发了", "请不要发了", "别再给我发短信", "停发短信", "请勿打扰", "勿扰", "免打扰", "别打扰我", "不要再骚扰我",
    "请勿联系我", "别再联系我了", "谢绝推销", "拒绝营销", "不再接收邮件", "拒绝接收短信", "停止订阅", "取消接收",
    "不订了", "我不再订阅", "请把我移除", "把我删除", "请将我移出名单", "退出名单", "请把我从列表里去除",
    "你好，请退订", "您好\n请停止发送", "不感兴趣，请退订", "不要再发东西了", "能不能不要再发了？", "可以别发了吗？",
    "请问可不可以不要再給我發短信了？", "能否停止发送？", "請停止發送", "退訂", "請不要再發簡訊", "取消訂閱",
    "我不想再收到你們的郵件", "請將我從名單中刪除",
]  # fmt: skip
WITH_MORE_TO_READ = [
    "Please stop. You sold my shares without asking.", "Please stop\nThe transfer", "请停止\n扣款",
    "请停止。扣款太多了。", "Unsubscribe me. But do call me.", "no more please. And what about my account",
]  # fmt: skip
NO_WISHES = [
    "Please do not stop.", "How do I unsubscribe?", "Please stop by the office tomorrow", "Stop the transfer",
    "please don't unsubscribe me", "cancel my order", "Remove the fee please", "Don't call before 10",
    "I want to remove my name from the joint account", "Please send me no more than two options",
    "The unsubscribe link is broken", "stop loss at 10", "如何退订？", "怎么退订", "不要退订", "我想退订理财产品",
    "请停止扣款", "请不要再涨价", "不要再联系客户经理了", "请发邮件给我", "退订费用是多少", "我不想收到损失",
    "unsubscribe " * 20, "please don't stop sending", "Please do not stop sending me these", "don't stop",
    "never stop", "Don't remove me", "please don't take me off the list", "Do not unsubscribe",
    "I don't want to unsubscribe", "I would not stop this", "stop by the branch", "Please stop by",
    "Please stop by tomorrow", "I will stop by on Monday", "when does the offer stop?", "When does it stop",
    "Does it stop?", "Stop?", "why stop now?", "Can I stop?", "can I unsubscribe?", "Can you unsubscribe?",
    "Could you opt out of the fund?", "Can you tell me how to unsubscribe?", "Would it stop?",
    "Please stop the order", "stop my savings plan", "Please stop my standing order", "please stop the direct debit",
    "stop trading", "stop order at 12", "stop limit", "stop out", "stop payment", "stop the payment please",
    "please stop payment of the cheque", "stop it from renewing", "stop this transfer", "stop all orders",
    "stop the SIP", "I want to stop", "I need to stop", "I would like to stop", "we wish to stop",
    "I want to stop the plan", "I would like you to stop the automatic payment",
    "I would like you to stop\nthe automatic payment", "Please stop\nby the office tomorrow",
    "Please remove\nthe fee", "take me off\nthe waiting list please", "Can you stop the transfer?",
    "Could you stop by?", "Will you stop charging fees?", "can you remove the fee?",
    "Would you remove me from the joint account?", "Could you take me off hold?", "Can you send no more than two?",
    "Please remove me as authorised signatory", "remove me from the joint account", "please remove my beneficiary",
    "take me off hold", "Take me off the waiting list", "take me out", "get me out", "get me out of this fund",
    "take me through it", "Leave me a message", "please delete my account", "Please close my account", "count me out",
    "no more than 10000", "no more questions", "No more risk please", "I don't need any", "I don't want anything",
    "not interested", "No thanks", "I'm not interested in bonds", "No.", "enough", "cancel", "please cancel",
    "cancel my appointment", "Cancel the subscription of shares",
    "I want to cancel the subscription of the new shares", "Do not contact my wife", "don't send the contract",
    "Don't call me", "Don't text and drive", "Hi", "Hello Ann", "Please send me anything else", "drop me a line",
    "I never received your emails", "I no longer want bonds", "Stop worrying about it", "The bus stop", "nonstop",
    "Unstoppable", "full stop", "pit stop", "stop-loss", "start", "Hi,\nplease don't stop",
    "Hello\nHow do I unsubscribe", "No thanks. Please stop by next week.", "停止扣款", "请停止定投", "请停止交易",
    "停止申购", "停牌", "停牌了吗", "停了", "停止时间", "什么时候停止", "何时停止发行", "我要停止", "我想停止",
    "我想停止定投", "停止服务吗", "请问何时停止认购", "不要停", "请不要停止", "不要停止发送", "请别停止发送邮件",
    "怎么停止发送", "如何停止推送", "能退订吗？", "可以退订吗", "要不要发邮件", "要不要发邮件？", "想不想收到",
    "为什么不发了？", "不需要", "不感兴趣", "取消", "取消预约", "取消订单", "请取消申购", "不要取消订阅",
    "不用联系我", "请联系我", "不要联系我太太", "别发生意外", "不要发火", "请勿转发", "把我的账户删除",
    "请把我的地址改一下", "请把费用去掉", "删除账户", "移除绑定银行卡", "退出登录", "拒绝", "拒绝交易",
    "免打扰时间是几点", "停止发送是什么意思", "請停止扣款", "不要停止發送", "請問如何退訂？",
]  # fmt: skip


@pytest.mark.parametrize("text", WISHES)
def test_a_short_sentence_is_a_wish_to_opt_out(text: str) -> None:
    wish = opt_out_wish(text)
    assert wish is not None
    assert not wish.says_more


@pytest.mark.parametrize("text", WITH_MORE_TO_READ)
def test_what_follows_a_wish_is_read_by_a_person(text: str) -> None:
    wish = opt_out_wish(text)
    assert wish is not None
    assert wish.says_more


@pytest.mark.parametrize("text", NO_WISHES)
def test_what_is_only_like_a_wish_is_read_by_a_person(text: str) -> None:
    assert opt_out_wish(text) is None


@pytest.mark.parametrize(
    "words",
    [
        "please ", "can you please ", "i want you to ", "hi, ", "no thanks, ", "dear all ", "stop ", "more of the ",
        "thanks ", "我想要", "我想", "请你们", "麻烦请", "把我", "停止", "不要再", "你们的", "营销广告", "能不能",
        "可以", "谢谢吧", "你好,", "a" + " " * 9,
    ],
)  # fmt: skip
def test_a_long_row_of_such_words_is_read_in_no_time(words: str) -> None:
    started = process_time()
    for repeated in (words * (LONGEST_WISH // len(words)), words * 5_000):
        assert opt_out_wish(repeated[:-1] + "x") is None
        opt_out_wish(repeated[: LONGEST_WISH - 1] + "?")
    assert process_time() - started < 1


def test_an_empty_message_speaks_through_its_subject() -> None:
    assert opt_out_wish(" ", subject="Please stop") is not None
    assert opt_out_wish(" ", subject="Re: When does the offer stop?") is None
    assert opt_out_wish("", subject="") is None

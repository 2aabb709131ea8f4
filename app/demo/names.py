"""Invented people, companies and places of the demo firm. None of them is meant to be anybody.

Addresses end in example.com, example.org or example.net (RFC 2606: never delivered). Mobile numbers begin with
+86 120, which is no mobile prefix of the Chinese numbering plan, or with +44 7700 900, which Ofcom keeps for drama.
"""

from dataclasses import dataclass
from random import Random

# Family and given names with their spelling in Latin letters.
SURNAMES = (
    ("王", "wang"), ("李", "li"), ("张", "zhang"), ("刘", "liu"), ("陈", "chen"), ("杨", "yang"), ("黄", "huang"),
    ("赵", "zhao"), ("吴", "wu"), ("周", "zhou"), ("徐", "xu"), ("孙", "sun"), ("马", "ma"), ("朱", "zhu"),
    ("胡", "hu"), ("郭", "guo"), ("何", "he"), ("林", "lin"), ("高", "gao"), ("罗", "luo"), ("郑", "zheng"),
    ("梁", "liang"), ("谢", "xie"), ("宋", "song"), ("唐", "tang"), ("许", "xu"), ("韩", "han"), ("冯", "feng"),
    ("邓", "deng"), ("曹", "cao"), ("彭", "peng"), ("曾", "zeng"), ("肖", "xiao"), ("田", "tian"), ("董", "dong"),
    ("袁", "yuan"), ("潘", "pan"), ("蒋", "jiang"), ("蔡", "cai"), ("余", "yu"),
)  # fmt: skip
GIVEN_FEMALE = (
    ("芳", "fang"), ("敏", "min"), ("静", "jing"), ("丽", "li"), ("娟", "juan"), ("艳", "yan"), ("秀英", "xiuying"),
    ("慧", "hui"), ("雪梅", "xuemei"), ("晓燕", "xiaoyan"), ("婷婷", "tingting"), ("雨欣", "yuxin"),
    ("梦洁", "mengjie"),
    ("佳怡", "jiayi"), ("思琪", "siqi"), ("玉兰", "yulan"), ("桂芬", "guifen"), ("淑珍", "shuzhen"), ("海燕", "haiyan"),
    ("春梅", "chunmei"), ("欣怡", "xinyi"), ("若曦", "ruoxi"), ("文静", "wenjing"), ("丹丹", "dandan"), ("莉", "li"),
)  # fmt: skip
GIVEN_MALE = (
    ("伟", "wei"), ("强", "qiang"), ("磊", "lei"), ("军", "jun"), ("洋", "yang"), ("勇", "yong"), ("杰", "jie"),
    ("涛", "tao"), ("明", "ming"), ("超", "chao"), ("建国", "jianguo"), ("志强", "zhiqiang"), ("浩然", "haoran"),
    ("子轩", "zixuan"), ("俊杰", "junjie"), ("文博", "wenbo"), ("天宇", "tianyu"), ("国庆", "guoqing"),
    ("永福", "yongfu"), ("德华", "dehua"), ("家豪", "jiahao"), ("晨", "chen"), ("鹏", "peng"), ("振宇", "zhenyu"),
    ("宏伟", "hongwei"),
)  # fmt: skip
WESTERN_FEMALE = (
    "Alice", "Anna", "Beatrice", "Caroline", "Clara", "Diana", "Eleanor", "Emily", "Fiona", "Grace", "Hannah", "Helen",
    "Ingrid", "Julia", "Katherine", "Laura", "Margaret", "Nina", "Olivia", "Patricia", "Rachel", "Sophie", "Theresa",
    "Victoria",
)  # fmt: skip
WESTERN_MALE = (
    "Adam", "Andrew", "Benjamin", "Charles", "Daniel", "David", "Edward", "Frank", "George", "Henry", "Isaac", "James",
    "Jonathan", "Kevin", "Lucas", "Martin", "Nicholas", "Oliver", "Patrick", "Robert", "Samuel", "Simon", "Thomas",
    "Walter",
)  # fmt: skip
WESTERN_SURNAMES = (
    "Abbott", "Barnes", "Bennett", "Brooks", "Carter", "Clarke", "Collins", "Dawson", "Ellis", "Fischer", "Fletcher",
    "Foster", "Garner", "Graham", "Harper", "Hayes", "Hughes", "Jensen", "Keller", "Lambert", "Larsen", "Lawson",
    "Marsh", "Mercer", "Moreau", "Murray", "Nolan", "Norris", "Owens", "Palmer", "Pearson", "Porter", "Quinn", "Reeves",
    "Sanders", "Schmidt", "Sharpe", "Sutton", "Turner", "Vaughan", "Wallace", "Webb", "Whitfield", "Young",
)  # fmt: skip
COMPANY_PARTS = ("华", "信", "海", "恒", "瑞", "达", "盛", "远", "丰", "泰", "安", "鼎", "嘉", "通", "源", "和")
COMPANY_KINDS = ("贸易有限公司", "科技有限公司", "实业有限公司", "物流有限公司", "餐饮管理有限公司", "建材有限公司")
DOMAINS = ("example.com", "example.org", "example.net")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is and how they are addressed. A company has neither first and last name nor gender."""

    name: str
    first_name: str | None
    last_name: str | None
    gender: str | None
    login: str
    locale: str


def person(random: Random) -> Identity:
    """Seven in ten have a Chinese name."""
    female = random.random() < 0.52
    gender = "female" if female else "male"
    if random.random() < 0.7:
        surname, surname_spelt = random.choice(SURNAMES)
        given, given_spelt = random.choice(GIVEN_FEMALE if female else GIVEN_MALE)
        return Identity(surname + given, given, surname, gender, f"{given_spelt}.{surname_spelt}", "zh_CN")
    given = random.choice(WESTERN_FEMALE if female else WESTERN_MALE)
    surname = random.choice(WESTERN_SURNAMES)
    return Identity(f"{given} {surname}", given, surname, gender, f"{given}.{surname}".lower(), "en")


def company(random: Random) -> Identity:
    name = "".join(random.sample(COMPANY_PARTS, 2)) + random.choice(COMPANY_KINDS)
    return Identity(name, None, None, None, "office", "zh_CN")


def mobile(random: Random) -> str:
    """A number of a prefix that nobody has; so many of them that hardly two clients share one."""
    return f"+86120{random.randrange(10**8):08}"

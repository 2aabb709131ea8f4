"""The statements that fill the large client book. Its sizes are SQL functions too, e.g. `bench.clients()`.

`bench.chance(number, seed)` is a hash in [0, 1), `bench.bell(number, seed)` roughly a standard normal. Clients and
accounts have a *rank*, a scrambled position: the first 92 % of clients by rank hold accounts, the first 90 % of
accounts by rank are older than the transactions, and the lower the rank the more an account trades.
"""

from collections.abc import Mapping
from datetime import date


def _function(signature: str, result: str, body: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION bench.{signature} RETURNS {result} "
        f"LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT {body} $$"
    )


FUNCTIONS = (
    _function(
        "chance(number bigint, seed bigint)", "float8", "(hashint8extended($1, $2) & 16777215) / 16777216::float8"
    ),
    _function(
        "bell(number bigint, seed bigint)",
        "float8",
        "(bench.chance($1, $2) + bench.chance($1, $2 + 1) + bench.chance($1, $2 + 2) - 1.5) * 2",
    ),
    _function("holders()", "bigint", "bench.clients() * 92 / 100"),
    _function(
        "client_of(account_id bigint)",
        "bigint",
        "1 + ((CASE WHEN $1 <= bench.holders() THEN $1 - 1 ELSE floor(bench.chance($1, 1) * bench.holders())::bigint "
        "END) * bench.client_factor()) % bench.clients()",
    ),
    _function(
        "account_at(rank float8)",
        "bigint",
        """
        1 + (floor($1 * bench.accounts())::bigint * bench.account_factor()) % bench.accounts()""",
    ),
    _function(
        "account_rank(account_id bigint)",
        "float8",
        """
        (($1 - 1) * bench.account_inverse()) % bench.accounts() / bench.accounts()::float8""",
    ),
    _function(
        "account_kind(account_id bigint)",
        "text",
        "CASE WHEN $1 <= bench.holders() "
        "THEN (ARRAY['a_share_shanghai', 'a_share_shanghai', 'a_share_shanghai', 'a_share_shanghai', 'cash', 'cash', "
        "'cash', 'deposit', 'deposit', 'fund'])[1 + floor(bench.chance($1, 2) * 10)::int] "
        "ELSE (ARRAY['a_share_shenzhen', 'a_share_shenzhen', 'a_share_shenzhen', 'fund', 'fund', 'fund', 'custody', "
        "'margin', 'deposit', 'loan', 'card', 'cash'])[1 + floor(bench.chance($1, 2) * 12)::int] END",
    ),
    _function(
        "opened_on(account_id bigint)",
        "date",
        "bench.today() - 1 - CASE WHEN bench.account_rank($1) < 0.9 THEN 730 + floor(bench.chance($1, 3) * 4600)::int "
        "ELSE floor(bench.chance($1, 3) * 730)::int END",
    ),
    _function(
        "holding(account_id bigint)",
        "float8",
        "exp(8.9 + 2.0 * bench.bell($1, 4)) * CASE bench.account_kind($1) WHEN 'loan' THEN -4 WHEN 'card' THEN -0.3 "
        "ELSE 1 END",
    ),
    _function("outlet_of(client_id bigint)", "bigint", "11 + floor(power(bench.chance($1, 10), 1.4) * 50)::bigint"),
    _function("has_daily_balances(account_id bigint)", "boolean", "bench.chance($1, 5) < 0.05"),
    _function(
        "consent(client_id bigint, seed bigint)",
        "boolean",
        "CASE WHEN bench.chance($1, $2) < 0.68 THEN true WHEN bench.chance($1, $2) < 0.77 THEN false END",
    ),
)


def sizes(values: Mapping[str, int | date]) -> list[str]:
    """The schema, and a function for each size by its name."""
    return [
        "CREATE SCHEMA bench",
        *(
            _function(f"{name}()", "bigint", str(value))
            if isinstance(value, int)
            else _function(f"{name}()", "date", f"DATE '{value}'")
            for name, value in values.items()
        ),
    ]


_USER = (
    "INSERT INTO user_account (id, email, name, password_hash, roles, branch_id, team_id, leads_team, active, "
    "failed_sign_ins, sign_in_version, must_change_password) "
)

STAFF = (
    "INSERT INTO branch (id, code, name, parent_id, path) "
    "SELECT i, 'B' || i, 'Branch ' || i, 1, '/1/' || i || '/' FROM generate_series(2, 10) AS i",
    "INSERT INTO branch (id, code, name, parent_id, path) "
    "SELECT i, 'S' || i, 'Outlet ' || i, 2 + i % 9, '/1/' || 2 + i % 9 || '/' || i || '/' "
    "FROM generate_series(11, 60) AS i",
    "INSERT INTO team (id, name, parent_id, path) SELECT i, 'Region ' || i, NULL, '/' || i || '/' "
    "FROM generate_series(1, 10) AS i",
    "INSERT INTO team (id, name, parent_id, path) "
    "SELECT i, 'Team ' || i, 1 + i % 10, '/' || 1 + i % 10 || '/' || i || '/' FROM generate_series(11, 160) AS i",
    _USER + "VALUES (98, 'head@bench.example', 'Head', '!', '{head_office}', 1, NULL, false, true, 0, 1, false), "
    "(99, 'manager@bench.example', 'Manager', '!', '{branch_manager}', 3, NULL, false, true, 0, 1, false)",
    _USER + "SELECT 100 + i, 'adviser' || i || '@bench.example', 'Adviser ' || i, '!', '{adviser}', 11 + i % 50, "
    "11 + i % 150, i < 150, true, 0, 1, false FROM generate_series(0, 50 * bench.advisers_an_outlet() - 1) AS i",
    "INSERT INTO custom_field (key, label, type, slot, choices) VALUES "
    "('annual_income', 'Annual income', 'number', 'number_01', NULL), "
    "('occupation', 'Occupation', 'choice', 'text_01', "
    "'{employee,civil servant,teacher,engineer,doctor,business owner,student,retired}'), "
    "('last_visit', 'Last visit', 'date', 'date_01', NULL), "
    "('uses_app', 'Uses the app', 'yesno', 'yesno_01', NULL), "
    "('interests', 'Interests', 'multichoice', 'list_01', '{funds,bonds,shares,insurance,pension}')",
    "SELECT setval(pg_get_serial_sequence(name, 'id'), 10000) "
    "FROM unnest(ARRAY['branch', 'team', 'user_account']) AS name",
)

_ACCOUNT = (
    """
    INSERT INTO account (id, client_id, number, kind, opened_on, activated_on, matures_on, closed_on, branch_id,
        partner_bank)
    SELECT a, client_id, 'A' || a, kind, opened_on,
        CASE WHEN bench.chance(a, 6) < 0.95 THEN least(opened_on + 7, bench.today()) END,
        CASE WHEN kind = 'deposit' THEN bench.today() - 30 + floor(bench.chance(a, 7) * 365)::int END,
        CASE WHEN bench.chance(a, 8) < 0.02
            THEN greatest(opened_on, bench.today() - floor(bench.chance(a, 9) * 700)::int) END,
        bench.outlet_of(client_id),
        CASE WHEN kind = 'custody' THEN 'Partner bank ' || a % 5 END
    FROM generate_series(1, bench.accounts()) AS a,
        LATERAL (
            SELECT bench.client_of(a) AS client_id, bench.account_kind(a) AS kind, bench.opened_on(a) AS opened_on
            OFFSET 0
        ) AS made
    """,
    "SELECT setval(pg_get_serial_sequence('account', 'id'), bench.accounts())",
)


def transactions(*, first: date, days: int, start: int, rows: int) -> str:
    """A month's transactions, numbered from `start` + 1. An account that was not open yet gives way to an old one.

    OFFSET 0 keeps the steps apart: else each would be worked out anew wherever the next one names it.
    """
    return f"""
    INSERT INTO PARTITION (source, external_id, on_date, account_id, client_id, kind, amount, fee, order_channel)
    SELECT 'core', 'T' || t, on_date, account_id, bench.client_of(account_id), kind, amount,
        CASE WHEN kind IN ('buy', 'sell', 'subscribe', 'redeem') THEN round(amount * 0.0008, 2) ELSE 0 END,
        CASE WHEN kind IN ('buy', 'sell', 'subscribe', 'redeem')
            THEN (ARRAY['mobile app', 'mobile app', 'mobile app', 'web', 'phone', 'branch'])
                [1 + floor(bench.chance(account_id, 24) * 4 + bench.chance(t, 25) * 3)::int % 6] END
    FROM (
        SELECT t, on_date, account_id,
            CASE WHEN account_kind IN ('deposit', 'cash', 'loan', 'card', 'custody')
                THEN (ARRAY['deposit', 'withdrawal', 'transfer_in', 'transfer_out', 'interest', 'payment'])
                    [1 + floor(luck * 6)::int]
                WHEN luck < 0.08 THEN 'transfer_in'
                WHEN luck < 0.14 THEN 'transfer_out'
                WHEN luck < 0.17 THEN 'dividend'
                WHEN account_kind = 'fund' THEN CASE WHEN luck < 0.65 THEN 'subscribe' ELSE 'redeem' END
                WHEN luck < 0.6 THEN 'buy' ELSE 'sell' END AS kind,
            round((exp(6.9 + 1.4 * bench.bell(t, 22)))::numeric, 2) AS amount
        FROM (
            SELECT t, on_date, account_id, bench.account_kind(account_id) AS account_kind, bench.chance(t, 23) AS luck
            FROM (
                SELECT t, on_date,
                    CASE WHEN bench.opened_on(likely) <= on_date THEN likely
                        ELSE bench.account_at(bench.chance(t, 21) / 2) END AS account_id
                FROM (
                    SELECT t, DATE '{first}' + floor(bench.chance(t, 20) * {days})::int AS on_date,
                        bench.account_at(CASE WHEN bench.chance(t, 26) < 0.05 THEN 0.9 + 0.05 * bench.chance(t, 27)
                            ELSE 0.6 * power(bench.chance(t, 27), 3) END) AS likely
                    FROM generate_series({start + 1}, {start + rows}) AS t
                    OFFSET 0
                ) AS drawn
                OFFSET 0
            ) AS placed
            OFFSET 0
        ) AS known
        OFFSET 0
    ) AS made
    """


def balances(days: Mapping[date, bool]) -> str:
    """Balances of some days (True: only of accounts with daily balances). They drift around what the account holds."""
    values = ", ".join(f"(DATE '{day}', {daily}, {day.toordinal()})" for day, daily in days.items())
    return f"""
    INSERT INTO PARTITION (account_id, on_date, client_id, amount)
    SELECT id, on_date, client_id, round((bench.holding(id) * (0.8 + 0.4 * bench.chance(id, day)))::numeric, 2)
    FROM account, (VALUES {values}) AS days (on_date, daily, day)
    WHERE kind <> 'custody' AND opened_on <= on_date AND (closed_on IS NULL OR closed_on > on_date)
        AND (NOT daily OR bench.has_daily_balances(id))
    """


_CLIENT = """
    INSERT INTO client (id, number, kind, name, first_name, last_name, gender, birth_date, email, mobile, city, locale,
        time_zone, branch_id, adviser_id, second_adviser_id, identity_number, status, source, risk_level,
        risk_assessed_on, qualified_investor, referred_by_id, opened_on, total_assets, flags, tags, email_consent,
        sms_consent, call_consent, personalisation_refused, email_problem, mobile_problem, created_at, updated_at,
        number_01, text_01, date_01, yesno_01, list_01)
    SELECT c, '80' || lpad(c::text, 8, '0'),
        CASE WHEN bench.chance(c, 30) < 0.03 THEN 'company' ELSE 'person' END,
        first_name || ' ' || last_name || ' ' || c % 1000, first_name, last_name,
        CASE WHEN bench.chance(c, 33) < 0.5 THEN 'female' ELSE 'male' END,
        CASE WHEN bench.chance(c, 30) >= 0.03
            THEN bench.today() - least(33000, greatest(6600, floor(16800 + 5200 * bench.bell(c, 34))))::int END,
        CASE WHEN bench.chance(c, 37) >= 0.05 THEN 'c' || c || '@example.com' END,
        CASE WHEN bench.chance(c, 38) >= 0.07 THEN '+8613' || lpad(c::text, 9, '0') END,
        (ARRAY['Shanghai', 'Guangzhou', 'Shenzhen', 'Dongguan', 'Foshan', 'Hangzhou', 'Ningbo', 'Wenzhou', 'Beijing'])
            [1 + floor(power(bench.chance(c, 39), 1.3) * 9)::int],
        CASE WHEN bench.chance(c, 40) < 0.9 THEN 'zh_CN' ELSE 'en' END, 'Asia/Shanghai',
        outlet, CASE WHEN bench.chance(c, 41) < 0.8
            THEN 100 + (outlet - 11) + 50 * floor(bench.chance(c, 42) * bench.advisers_an_outlet())::int END,
        CASE WHEN bench.chance(c, 43) < 0.03
            THEN 100 + floor(bench.chance(c, 44) * 50 * bench.advisers_an_outlet())::int END,
        CASE WHEN bench.chance(c, 45) < 0.9 THEN '310101' || lpad((c * 7 % 1000000000000)::text, 12, '0') END,
        CASE WHEN held.client_id IS NULL THEN CASE WHEN bench.chance(c, 46) < 0.4 THEN 'lead' ELSE 'prospect' END
            WHEN bench.chance(c, 46) < 0.02 THEN 'closed' WHEN bench.chance(c, 46) < 0.12 THEN 'dormant'
            ELSE 'client' END,
        (ARRAY['branch', 'partner bank', 'online', 'referral', 'event'])[1 + floor(bench.chance(c, 47) * 5)::int],
        CASE WHEN bench.chance(c, 48) >= 0.07 THEN least(5, greatest(1, round(3 + 0.9 * bench.bell(c, 49)))) END,
        CASE WHEN bench.chance(c, 48) >= 0.07 THEN bench.today() - floor(bench.chance(c, 52) * 560)::int END,
        coalesce(held.total_assets > 1000000, false) AND bench.chance(c, 53) < 0.7,
        CASE WHEN bench.chance(c, 54) < 0.04 THEN 1 + floor(bench.chance(c, 55) * bench.clients())::bigint END,
        held.opened_on, held.total_assets,
        CASE WHEN bench.chance(c, 56) < 0.012
            THEN ARRAY[(ARRAY['frozen', 'vulnerable', 'open_complaint', 'deceased', 'minor'])[1 + c % 5]]
            ELSE '{}' END,
        CASE WHEN bench.chance(c, 57) < 0.3
            THEN ARRAY[(ARRAY['ETF club', 'fund fair', 'morning call', 'new shares'])[1 + c % 4]] ELSE '{}' END,
        bench.consent(c, 58), bench.consent(c, 59), bench.consent(c, 60),
        bench.chance(c, 61) < 0.03,
        CASE WHEN bench.chance(c, 62) < 0.01 THEN 'bounced' END,
        CASE WHEN bench.chance(c, 63) < 0.01 THEN 'unknown number' END,
        coalesce(held.opened_on, bench.today() - floor(bench.chance(c, 64) * 400)::int),
        bench.today(),
        CASE WHEN bench.chance(c, 65) < 0.7 THEN round(exp(11.5 + 0.6 * bench.bell(c, 66))) END,
        CASE WHEN bench.chance(c, 69) < 0.88 THEN (ARRAY['employee', 'civil servant', 'teacher', 'engineer', 'doctor',
            'business owner', 'student', 'retired'])[1 + floor(bench.chance(c, 70) * 8)::int] END,
        CASE WHEN bench.chance(c, 71) < 0.4 THEN bench.today() - floor(bench.chance(c, 72) * 900)::int END,
        CASE WHEN bench.chance(c, 73) < 0.9 THEN bench.chance(c, 74) < 0.6 END,
        CASE WHEN bench.chance(c, 75) < 0.3
            THEN (ARRAY['funds', 'bonds', 'shares', 'insurance', 'pension'])[1 + c % 3 : 1 + c % 3 + c % 2] END
    FROM generate_series(1, bench.clients()) AS c
    LEFT JOIN (
        SELECT account.client_id, min(account.opened_on) AS opened_on, sum(newest.amount) AS total_assets
        FROM account
        LEFT JOIN (
            SELECT account_id, amount FROM balance
            WHERE on_date = bench.today() - 1 AND amount > 0
            UNION ALL
            SELECT account_id, amount FROM balance
            WHERE on_date = bench.last_month_end() AND amount > 0 AND on_date < bench.today() - 1
                AND NOT bench.has_daily_balances(account_id)
        ) AS newest ON newest.account_id = account.id
        GROUP BY account.client_id
    ) AS held ON held.client_id = c,
    LATERAL (
        SELECT bench.outlet_of(c) AS outlet,
            (ARRAY['Wei', 'Fang', 'Na', 'Min', 'Jing', 'Li', 'Qiang', 'Lei', 'Yan', 'Anna', 'Karl', 'Mei'])
                [1 + floor(bench.chance(c, 31) * 12)::int] AS first_name,
            (ARRAY['Wang', 'Li', 'Zhang', 'Liu', 'Chen', 'Yang', 'Zhao', 'Huang', 'Zhou', 'Wu', 'Xu', 'Sun', 'Hu',
                'Zhu', 'Gao', 'Lin', 'He', 'Guo', 'Ma', 'Luo'])[1 + floor(bench.chance(c, 32) * 20)::int] AS last_name
        OFFSET 0
    ) AS drawn
    ORDER BY c
"""

_POSITION = """
    INSERT INTO position (account_id, product_code, client_id, product_name, product_kind, product_risk, value, cost,
        on_date)
    SELECT DISTINCT ON (id, product) id, 'P' || product, client_id, 'Product ' || product,
        CASE WHEN kind = 'fund' THEN (ARRAY['fund', 'bond', 'wealth_product'])[1 + product % 3] ELSE 'share' END,
        1 + product % 5, round(worth::numeric, 2),
        round((worth * (0.7 + 0.55 * bench.chance(product + id, 81)))::numeric, 2), bench.today() - 1
    FROM account, generate_series(1, 3) AS place, LATERAL (
        SELECT floor(bench.chance(id * 4 + place, 80) * 400)::int AS product, bench.holding(id) * 0.4 / place AS worth
        OFFSET 0
    ) AS drawn
    WHERE kind IN ('a_share_shanghai', 'a_share_shenzhen', 'fund', 'margin') AND closed_on IS NULL
        AND bench.chance(id, 82) * 3 < 3.8 - place AND bench.chance(id, 83) < 0.75
"""

_ENGAGEMENT = """
    INSERT INTO engagement (client_id, kind, campaign_id, channel, first_at, last_at)
    SELECT client_id, kind, campaign, 'email', at, at
    FROM generate_series(1, 20) AS campaign, generate_series(0, bench.clients() * 6 / 100 - 1) AS place,
    LATERAL (
        SELECT 1 + ((campaign * bench.clients() / 20 + place) * bench.client_factor()) % bench.clients() AS client_id,
            bench.chance(campaign * bench.clients() + place, 90) AS luck
    ) AS drawn,
    LATERAL (VALUES ('contacted', 1.0, 0), ('opened', 0.42, 1), ('clicked', 0.17, 1), ('replied', 0.08, 2))
        AS kinds (kind, share, days),
    LATERAL (
        SELECT bench.today() - campaign * 12 + days + bench.chance(place, 91) * interval '12 hours' AS at
    ) AS timed
    WHERE luck < share
"""

_CONSENT = """
    INSERT INTO consent (client_id, channel, purpose, granted, source, wording, at)
    SELECT id, 'email', 'marketing', email_consent, 'account form', 'I agree to receive marketing', created_at
    FROM client WHERE email_consent IS NOT NULL
"""

_SUPPRESSION = """
    INSERT INTO suppression (channel, address, reason, source)
    SELECT 'email', 'c' || c || '@example.com', 'unsubscribed', 'bench'
    FROM generate_series(1, bench.clients(), 200) AS c
"""

# The custom fields as ordinary columns behind the built-in ones; the rows are as wide as those of the client table.
_ORDINARY = (
    """
    DO $$ DECLARE built_in text; slots text; BEGIN
        SELECT string_agg(attname, ', ' ORDER BY attnum) FILTER (WHERE attname !~ '_[0-9]{2}$'),
            string_agg(attname, ', ' ORDER BY attnum) FILTER (WHERE attname ~ '_[0-9]{2}$')
        INTO built_in, slots FROM pg_attribute WHERE attrelid = 'client'::regclass AND attnum > 0 AND NOT attisdropped;
        EXECUTE format('CREATE TABLE bench.client_ordinary AS SELECT %s, number_01 AS annual_income, '
            'text_01 AS occupation, date_01 AS last_visit, %s FROM client', built_in, slots);
    END $$
    """,
    "ALTER TABLE bench.client_ordinary ADD PRIMARY KEY (id)",
)

FILLING = {
    "account": _ACCOUNT,
    "client": (_CLIENT, "SELECT setval(pg_get_serial_sequence('client', 'id'), bench.clients())"),
    "position": (_POSITION,),
    "engagement": (_ENGAGEMENT,),
    "consent": (_CONSENT,),
    "suppression": (_SUPPRESSION,),
    "ordinary": _ORDINARY,
}

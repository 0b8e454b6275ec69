"""Every rule of the reader of codes, each by texts that it gives a code and texts that it keeps from one."""

from collections.abc import Callable, Sequence

import pytest

from trunkline.codes import Brands, extract

ROWS = [
    ("nimbus", "Nimbus", "nimbus.example", ["Нимбус", "云帆", "nimbus-mail.example"]),
    ("harborbank", "Harbor Bank", "harborbank.example", []),
    ("lime", "Lime", "li.me", []),
    ("uber", "Uber", "uber.com", []),
    ("ubereats", "Uber Eats", "ubereats.com", ["Uber"]),
    ("ebay", "eBay", "ebay.com", []),
    ("whatsapp", "WhatsApp", "whatsapp.com", ["wa.me"]),
    ("n26", "N26", "n26.com", []),
    ("n27", "N27", "n27.example", []),
    ("alibaba", "1688", "1688.com", []),
    ("att", "AT&T", "att.com", []),
    ("mercado", "Mercado Libre (MX)", "mercadolibre.example", []),
]
BRANDS = Brands(ROWS)
Case = tuple[str, str | None]
Test = Callable[[str, str | None], None]


def rule(*cases: Case) -> Test:
    """The test of one rule: texts, and the code of each or None."""

    @pytest.mark.parametrize(("text", "code"), cases)
    def test(text: str, code: str | None) -> None:
        found = extract(text)
        assert found.code == code, found.why

    return test


def naming(*cases: Case) -> Test:
    """The test of one rule: texts, and the service of each or None."""

    @pytest.mark.parametrize(("text", "service"), cases)
    def test(text: str, service: str | None) -> None:
        assert extract(text, BRANDS).service == service

    return test


# What claims a number.

test_a_word_before_a_number_claims_it = rule(
    ("Order 884213: your login code is 482913", "482913"),
    ("A/c XX8841 login: code 482913", "482913"),
    ("Your login was seen from account 482913", None),
)

test_a_word_after_a_number_may_claim_it_too = rule(
    ("4821 ile biten kartınızın doğrulama işlemi tamamlandı", None),
    ("482913 is your account, log in with your PIN", None),
    ("482913 is your PIN for your account", "482913"),
)

test_a_word_that_only_says_number_belongs_to_the_word_before_it = rule(
    ("Verify your SIM, number 48213", None),
    ("Type the number 48213 to log in", "48213"),
    ("Number 48213 is about to log in", None),
    ("Give the courier number 4821", "4821"),
)

test_is_answers_the_word_for_a_code_unless_an_aside_or_a_sentence_parts_them = rule(
    ("The code for your account is 5521, sign in with it", "5521"),
    ("Your code is on its way, your order is 5521", None),
    ("Code sent. Your account is 482913", None),
)

test_what_brackets_enclose_is_an_aside = rule(
    ("Your code (account 4821) is 730915", "730915"),
    ("Security code (phone: 482913)", None),
)

test_a_word_claims_no_number_of_the_next_line_but_after_a_colon = rule(
    ("Sign in to your account\n482913", "482913"),
    ("Sign in to your account:\n482913", None),
)

test_the_only_number_of_a_sentence_that_asks_for_a_code_is_not_claimed = rule(
    ("OTP of your card 4471902", "4471902"),
    ("OTP of your card 4471", None),  # as short as the end of a card's number
    ("OTP of your card 4471902 is 7309", "7309"),
)

test_strangers_between_a_word_and_a_number_part_them = rule(
    ("Your account today will soon ask: 482913 to sign in", "482913"),
    ("Your account name: 482913. Sign in now", None),
    ("Account: 55019 is your verification code", "55019"),
)

test_a_verb_that_asks_comes_before_a_word_that_claims = rule(
    ("Your login: type it in our app Nimbus Mobile: 4821", "4821"),
    ("Log in. Mobile: 4821", None),
)

# Codes of another trade.

test_the_code_of_another_trade_is_none_unless_a_courier_asks_for_it = rule(
    ("Your order code is 5521, give it to the courier", "5521"),
    ("Your order code is 5521. The courier is on the way", None),
    ("Code de vérification : 482913", "482913"),
)

test_an_ambiguous_word_counts_where_the_text_proves_or_says_is = rule(
    ("Shop in pin code 560001 today", None),
    ("Your pin code is 560001", "560001"),
    ("Verify your number with pin code 560001", "560001"),
)

test_a_text_that_sells_or_ships_gives_only_a_code_that_proves = rule(
    ("20% off: use 482913", None),
    ("Summer sale! Your code 482913", None),
    ("Parcel: give code 4821 to the rider", "4821"),
    ("Now 20 % less, code 48291", None),
    ("Order ready. Confirm: enter A4821", None),
)

# Numbers that are something else by their shape.

test_the_end_of_a_masked_number_is_no_code = rule(
    ("Login with card x4821", None),
    ("OTP XXXX4821", None),
    ("OTP: XX 4821", None),
    ("Login code: *482913*", "482913"),  # bold
    ("Card *5518 used. To verify, enter 5518", None),
    ("Card *4417 used. To verify, enter 5518", "5518"),
    ("Login code for TX7k...9QpA", None),
    ("OTP ..4471", None),
    ("OTP .4471", "4471"),
    ("Verify: 4821* now", None),
)

test_an_amount_is_no_code_whichever_side_its_currency_is_on = rule(
    ("Verify: 4821", "4821"),
    ("Verify: $4821", None),
    ("Verify: USD 4821", None),
    ("Verify: 4821EUR", None),
    ("OTP: Rs.4821", None),
    ("Verify: 4821/-", None),
    ("Your code is n4821", "n4821"),
)

test_what_a_unit_counts_is_no_code = rule(
    ("Code 482913 minutes ago", "482913"),
    ("Login open 14-16 h", None),
    ("验证码482913,5分钟内有效", "482913"),
    ("验证码120分钟内有效", None),
    ("Your code: 1234 m", "1234"),
)

test_a_date_or_a_time_is_no_code = rule(
    ("OTP, 14 Mar 2025", None),
    ("OTP, 14 Mar 4821", "4821"),
    ("OTP on March 14, 2025", None),
    ("Verificación: 14 de marzo de 2025", None),
    ("Login: 48-29-13", "482913"),
    ("Login: 21h30", None),
    ("Login: 21h3x", "21h3x"),
    ("See 2019 login", "2019"),
)

test_a_phone_number_or_a_long_one_is_no_code = rule(
    ("OTP: (415) 555-0123", None),
    ("Verify 2345-6789", None),
    ("Your verification code: 2345-6789", "23456789"),
    ("Bekræft 20 48 29 13", None),
    ("Din kode: 20 48 29 13", "20482913"),
    ("Verification code 48291348291", None),
    ("Verification: 415 555 0123", None),
    ("Verify: +482913", None),
    ("Your code: 12-34-56-78-90", None),
)

test_an_app_hash_a_name_or_an_identifier_is_no_code = rule(
    ("OTP\nFAx9qCX+VSu", None),
    ("OTP: yad2", None),
    ("OTP: NF/88214", None),
    ("Verify your identity /88214", "88214"),
    ("OTP: AB12CD34EF56", None),
    ("Your code is AB1q", "AB1q"),
)

# How a code is written.

test_a_prefix_is_left_out_and_what_is_part_of_the_code_kept = rule(
    ("G-482913", "482913"),
    ("G-482913 to sign in", "482913"),
    ("FB-48291 is your confirmation code", "48291"),
    ("Your code is AB12-CD34", "AB12CD34"),
    ("Your code is k7p-2qx", None),
    ("Your NIMBUS login code: NIMBUS-482913", "482913"),
    ("Your code: ABCDEF-482913", None),
)

test_groups_that_belong_together_are_one_code = rule(
    ("Your code: 482 913", "482913"),
    ("Your code: 48 29 13", "482913"),
    ("Your code: 482 913 507", "482913507"),
    ("Verify 947-1083", None),
    ("Sign in: 48 291", None),
    ("Your code: 4 829134", "829134"),
    ("Your code: 4-829134", None),
)

test_digits_told_one_by_one_are_one_code = rule(
    ("Your code is 7, 0, 3, 9", "7039"),
    ("Your code is 4 8 2 - 9 1 3", "482913"),
    ("Rows 1, 2, 3 verify", None),
)

test_a_particle_before_a_hyphen_is_no_part_of_the_code = rule(
    ("Code ngu-482913", "482913"),
    ("Verify ngulolu-482913", None),
)

test_what_sticks_to_a_code_is_left_out = rule(
    ("Your OTP482913", "482913"),
    ("Log in: FLIGHT4829137", None),
)

test_letters_alone_need_a_word_for_a_code_beside_them = rule(
    ("Your verification code for Nimbus is KQXWPT", "KQXWPT"),
    ("KQXWPT is your verification code", "KQXWPT"),
    ("Enter KQXWPT to verify", "KQXWPT"),
    ("To verify, paste on the page: KQXWPT. This is the code", "KQXWPT"),
    ("Your verification code: kqxwpt", "kqxwpt"),
    ("Your verification code: hidden", None),
    ("Your verification code: KQXWPT. 20% off", None),
    ("Enter PIN to verify", None),
    ("KQXWPT for your OTP", None),
    ("OTP: KQXWPT RSTVW", None),
    ("Your access code: KQXWPT", None),
)

# What speaks for a number.

test_a_verb_that_asks_for_a_number_speaks_for_it = rule(
    ("Enter 4821", None),
    ("Bitte 84721 eingeben", "84721"),
    ("Bitte mit Max 48213", None),
    ("84721 gibt ein Haus", None),
)

test_a_courier_speaks_for_the_number_to_tell_him = rule(
    ("Tell 4821 to the rider", "4821"),
    ("Rider 2207 is here", None),
    ("Tell the rider 48217731", None),
)

test_a_word_of_proving_speaks_for_a_number_beside_it_in_quotation_marks_or_on_its_own_line = rule(
    ("Nimbus verification 482913", "482913"),
    ("Verify on our page, the 4821 is it", None),
    ('Verify on our page, the "4821" is it', "4821"),
    ("Verify at our site today, thanks to all of you.\n4821\nThanks", "4821"),
    ("Verify at our site today, thanks to all of you.\nAt 4821\nThanks", None),
    ("<#> Nimbus\n482913\nbye", "482913"),
)

test_a_number_that_is_all_of_the_text_needs_no_word = rule(
    ("482913", "482913"),
    ("Hello 482913", None),
)

test_a_word_that_says_how_long_it_holds_proves = rule(
    ("482913 valid for 5 minutes", "482913"),
    ("Valid until 2030", None),
)

# Sentences and languages.

test_a_title_or_an_abbreviation_ends_no_sentence_but_every_script_s_full_stop_does = rule(
    ("Your login code from Dr. Lee in ward is ours 482913", "482913"),
    ("Your code from him. Lee has 482913", None),
    ("Your code no. 482913", "482913"),
    ("आपका कोड आ रहा है। राम 482913", None),
    ("رمز التحقق في الطريق۔ علي 482913", None),
    ("رمز التحقق 482913", "482913"),
    ("Your code is ready. It is 482913", "482913"),
)

test_a_word_counts_only_in_a_language_that_the_text_is_written_in = rule(
    ("Vahvistuskoodisi on 482913", "482913"),
    ("You logged in on 482913", None),  # what is "is" to a Finn claims an Englishman's number
    ("Kodunuz 1200 dakika geçerli", None),
    ("Enter your verification code, never share it: 1200 dakika", "1200"),
)

test_compounds_and_spelt_out_letters_are_understood = rule(
    ("Bitte bestaetigen: 482913", "482913"),
    ("Bitte besichtigen: 482913", None),
    ("Bestätigungscode 482913", "482913"),
    ("Gutscheincode 482913", None),
    ("診察券番号 482913", None),
    ("診察券の番号 482913", "482913"),
    ("認証番号 482913", "482913"),
    ("진료표번호 482913", None),
)

# Links, and lines bound to a site.


@pytest.mark.parametrize(
    ("text", "code", "kind"),
    [
        ("Verify: https://a.example/x?code=482913", "482913", "code"),
        ("Verify: https://a.example/v/482913", "482913", "code"),
        ("Verify: https://a.example/blog/482913", None, "link"),
        ("Verify and get 20% off: https://a.example/v/482913", None, "none"),
        ("Nimbus verify: https://nimbus.example/blog/482913", "482913", "code"),
        ("Your login code: https://a.example/blog/482913", "482913", "code"),
        ("Hello 482913, https://a.example/m/482913", "482913", "code"),
        ("Hello 482913, https://a.example/m/482914", None, "none"),
    ],
)
def test_a_link_gives_the_code_that_it_carries(text: str, code: str | None, kind: str) -> None:
    found = extract(text, BRANDS)
    assert (found.code, found.kind) == (code, kind), found.why


test_a_line_bound_to_a_site_decides_and_a_malformed_one_is_ignored = rule(
    ("Your code is 1111\n@a.example #482913", "482913"),
    ("@a.example @b.example #482913 %c.example", "482913"),
    ("Your code is 1111\n@a.example#482913", "1111"),
    ("Your code is 1111\n@a.example  #482913", "1111"),
    ("@a.example #48-29-13", "482913"),
    ("@a.example #AB-12", "AB-12"),
)

test_the_site_of_a_bound_line_names_the_service_before_the_words_do = naming(
    ("Harbor Bank\n@login.nimbus.example #482913", "nimbus"),
    ("Harbor Bank\n@login.elsewhere.example #482913", "harborbank"),
)

# Texts that differ only in their digits: the reader remembers where the code of the first one stood.


@pytest.mark.parametrize(
    "form", ["Nimbus: {} is your code", "Order 884213: OTP {}", "Your code is {}, valid for 10 minutes", "验证码{}"]
)
def test_texts_that_differ_only_in_digits_each_give_their_own_code(form: str) -> None:
    brands = Brands(ROWS)
    codes = ["482913", "739204", "100000", "999999", "482913"]
    assert [extract(form.format(code), brands).code for code in codes] == codes
    assert [extract(form.format(code)).code for code in codes] == codes


@pytest.mark.parametrize("form", ["Your code is {}", "{} is your Nimbus code", "Nimbus code: G-{}", "{}"])
def test_codes_in_two_halves_are_joined_in_each_text_of_a_kind(form: str) -> None:
    brands = Brands(ROWS)
    for code in ("482-913", "739-204", "482-913"):
        assert extract(form.format(code), brands).code == code.replace("-", "")
    assert extract(form.format("482913"), brands).code == "482913"


def test_texts_of_one_shape_are_judged_by_their_digits_again() -> None:
    assert [extract(f"Login on 14 Mar {year}").code for year in ("4821", "2025", "4821")] == ["4821", None, "4821"]
    form = "Card *{} used. Enter 55 18 to verify your OTP"
    assert [extract(form.format(end)).code for end in ("5518", "4417")] == [None, "5518"]
    assert [extract(f"Card *{end} used. To verify, enter 5518").code for end in ("4417", "5518")] == ["5518", None]


@pytest.mark.parametrize(
    ("form", "services"),
    [
        ("Your N{} code is 482913", {"26": "n26", "27": "n27", "28": None}),
        ("N{}: 482913 is your code", {"27": "n27", "28": None, "26": "n26"}),
        ("【{}】验证码482913", {"1689": None, "1688": "alibaba", "1788": None}),
    ],
)
def test_names_with_digits_are_not_confused(form: str, services: dict[str, str | None]) -> None:
    brands = Brands(ROWS)
    for _ in range(2):
        found = {digits: extract(form.format(digits), brands).service for digits in services}
        assert found == services


# The service that a text names.


@pytest.mark.parametrize(
    ("text", "service", "signed"),
    [
        ("Nimbus: 482913 is your code", "nimbus", True),
        ("Your code for Nimbus is 482913", "nimbus", True),
        ("Code 482913. Things on Nimbus are nice today", "nimbus", False),
        ("Code 482913 for $20 at Nimbus today", None, False),
        ("Code 482913. Harbor Bank and Nimbus: see both", "harborbank", False),
        ("【云帆】验证码482913", "nimbus", True),
        ("Код 482913 для входа в Нимбус сегодня", "nimbus", False),
    ],
)
def test_a_name_counts_as_signed_where_senders_sign(text: str, service: str | None, signed: bool) -> None:
    found = extract(text, BRANDS)
    assert (found.service, found.signed) == (service, signed)


test_an_ordinary_word_names_a_service_only_where_a_sender_signs = naming(
    ("Your Lime code is 482913", "lime"),
    ("Lime juice for you, log in: code 482913", None),
    ("Code 482913 is there for you all and a Lime", None),
)

test_a_name_counts_in_its_own_spelling = naming(
    ("your nimbus code is 482913", "nimbus"),
    ("the nimbus clouds are nice today. Your code 482913", None),
    ("Sell on ebay today. Code 482913", "ebay"),
    ("Über uns: Ihr Code ist 482913", None),
    ("Your Harbor Bank's code is 482913", "harborbank"),
    ("Your Harbor of Bank code is 482913", None),
    ("Mercado Libre: 482913", "mercado"),
    ("Your 1688 code is 482913", None),
)

test_what_a_foreign_signature_only_speaks_of_is_not_its_service = naming(
    ("Kranwick Water Co: code 482913. Things on Nimbus are nice today", None),
    ("Kranwick Water Co has code 482913. Things on Nimbus are nice today", "nimbus"),
    ("[Web발신]\n[Kranwick] code 482913. Things on Nimbus are nice today", None),
    ("[Web발신]\ncode 482913. Things on Nimbus are nice today", "nimbus"),
    ("Your code: 482913. Things on Nimbus are nice today", "nimbus"),
)

test_a_link_names_the_service_of_its_site_but_for_a_chat = naming(
    ("Code 482913, see https://nimbus-mail.example/x", "nimbus"),
    ("Code 482913, ask us: https://wa.me/14155550123", None),
    ("Code 482913. Ask Nimbus at https://harborbank.example/x today", "harborbank"),
    ("Nimbus: code 482913, see https://harborbank.example/x", "nimbus"),
)


@pytest.mark.parametrize(
    ("text", "services"),
    [
        ("Uber: 482913", ("uber", "ubereats")),
        ("Uber Eats: 482913", ("ubereats",)),
        ("Hello: 482913", ()),
    ],
)
def test_several_services_may_go_by_one_name_its_own_first(text: str, services: Sequence[str]) -> None:
    assert extract(text, BRANDS).services == services


@pytest.mark.parametrize(
    ("sender", "service"),
    [
        ("NIMBUS", "nimbus"),
        ("VM-NIMBUS-S", "nimbus"),
        ("ATT", "att"),
        ("N26", "n26"),
    ],
)
def test_a_sender_id_is_the_service_whose_whole_name_it_is(sender: str, service: str | None) -> None:
    assert BRANDS.of_sender(sender) == service

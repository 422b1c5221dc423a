//! What holds for any text, and rows for what is and what is not a hit.

#![allow(clippy::disallowed_methods, reason = "tests read files; the crate does not")]

mod support {
    pub(crate) mod bodies;
    pub(crate) mod corpus;
}

use lockstep_words::{BuildError, Categories, Category, ENTRIES_MAX, ENTRY_BYTES_MAX, Entry, Matcher, shipped};
use proptest::prelude::*;
use support::bodies;

fn entry(text: &str) -> Entry {
    Entry { text: text.to_owned(), category: Category::Password }
}

fn matcher(entries: &str) -> Matcher {
    let entries: Vec<_> = entries.split('|').map(entry).collect();
    Matcher::new(&entries).expect("the entries make a matcher")
}

/// The parts of the text that are hits, with bars between.
fn check(entries: &str, text: &str, expected: &str) {
    let hits: Vec<_> = matcher(entries).find(text).into_iter().map(|hit| &text[hit.range]).collect();
    assert_eq!(hits.join("|"), expected, "{entries} in {text}");
}

#[test]
fn words_are_found() {
    let rows = [
        ("password", "My PASSWORD.", "PASSWORD"),
        ("password", "passwords", ""),
        ("password", "password1234", "password"),
        ("password", "p@$$w0rd!", "p@$$w0rd"),
        ("password", "p a s s w o r d", "p a s s w o r d"),
        ("password", "pass-word pass.word", "pass-word|pass.word"),
        ("password", "he may pass word on", ""),
        ("password", "pa ss wo rd", "pa ss wo rd"),
        ("password", "pаsswоrd", "pаsswоrd"),
        ("password", "p\u{308}a\u{301}ssword", "p\u{308}a\u{301}ssword"),
        ("password", "ｐａｓｓｗｏｒｄ", "ｐａｓｓｗｏｒｄ"),
        ("password", "🅿🅰🅂🅂🆆🅾🆁🅳", "🅿🅰🅂🅂🆆🅾🆁🅳"),
        ("password", "pa§§ωord, paßωord", "pa§§ωord|paßωord"),
        ("contract", "¢ontra¢t, 5€contract, contra€t", "¢ontra¢t|contract"),
        ("passport", "MyPassportScan.pdf IMG_passport.jpg PASSPORTS", "Passport|passport"),
        ("iban", "stop lbAN, IBANs, |BAN", "lbAN||BAN"),
        ("CUIT", "a cult, CULT, CUlT, cu1t, cuit", "CUlT|cu1t|cuit"),
        ("CVV", "cw, CW, cvv, c v v", "cvv|c v v"),
        ("prn", "pm, PRN", "PRN"),
        ("IFSC", "1F5C, 1FSC", "1FSC"),
        ("dni", "DN| a|b", "DN|"),
        ("pin", "stop in pinwheel spin p in", ""),
        ("pin", "is the p.i.n 1234 or p1n", "p.i.n|p1n"),
        ("pin", "请发PIN给我", "PIN"),
        ("too", "700", ""),
        ("3d secure", "3-D Secure, ed secure", "3-D Secure"),
        ("bank account", "bankaccount, bank - account, bank\naccount", "bankaccount|bank - account|bank\naccount"),
        ("bank account", "banks account, river bank accounts", ""),
        ("contraseña", "CONTRASENA contraseña cóntraseńa contraseṇa", "CONTRASENA|contraseña|cóntraseńa"),
        ("thẻ tín dụng", "the tin dung, thẻ tin dung, thể tín dụng", "the tin dung|thẻ tin dung"),
        ("the pin", "thế pin, thẻ pin, the pin", "the pin"),
        ("Überweisung", "Ueberweisung, Uberweisung, überweisung", "Ueberweisung|Uberweisung|überweisung"),
        ("Straße", "STRASSE", "STRASSE"),
        ("счёт", "счет СЧЁТ cчeт", "счет|СЧЁТ|cчeт"),
        ("密码", "我的密码是,密*码,密 码", "密码|密*码|密 码"),
        ("密码", "秘密 码头", ""),
        ("รหัสผ่าน", "ขอรหัสผ่านหน่อย รหัสผาน รหัส ผ่าน", "รหัสผ่าน|รหัสผาน"),
        ("น้ำ", "นํ้า น้ำ นำ", "นํ้า|น้ำ|นำ"),
        ("ນ້ຳ", "ນໍ້າ ນ້ຳ", "ນໍ້າ|ນ້ຳ"),
        ("แบงก์", "เเบงก์", "เเบงก์"),
        ("अनुबंध", "अनुबन्ध, अनुबंधों", "अनुबन्ध|अनुबंध"),
        ("खाता", "खाते का, खातों, खातिर", "खात|खात"),
        ("कर्ज", "क़र्ज़", "क़र्ज़"),
        ("عقد", "العقد وعقدي عقدة معقد عـــقد عَقْدٌ", "عقد|عقد|عـــقد|عَقْدٌ"),
        ("بطاقة", "بطاقه، بطاقتك", "بطاقه|بطاقت"),
        ("رقم الحساب", "رقم حسابي", "رقم حساب"),
        ("كلمة", "کلمة كلمه", "کلمة|كلمه"),
    ];
    for (entries, text, expected) in rows {
        check(entries, text, expected);
    }
}

#[test]
fn words_are_found_across_messages() {
    let rows: &[(&str, &[&str], bool)] = &[
        ("password", &["my pass", "word is"], true),
        ("password", &["p a s", "s w o r d"], true),
        ("password", &["pa", "ss", "word"], true),
        ("password", &["password", "is"], false),
        ("password", &["my", "password"], false),
        ("password", &["by pass", "words"], false),
        ("bank account", &["the bank", "account"], true),
        ("bank account", &["bank account", "bank"], false),
        ("密码", &["我的密", "码是"], true),
        ("รหัสผ่าน", &["รหัส", "ผ่านอะไร"], true),
        ("अनुबंध", &["अनुबन्", "ध"], false),
        ("password", &[], false),
        ("password", &["", ""], false),
    ];
    for (entries, texts, expected) in rows {
        let expected = if *expected { Category::Password.into() } else { Categories::NONE };
        assert_eq!(matcher(entries).categories_across(texts), expected, "{entries} in {texts:?}");
    }
}

#[test]
fn what_makes_no_matcher() {
    let rows = [
        (vec![entry("pin"), entry(" .-\u{200b}😀")], "entry 1: \" .-\u{200b}😀\" has no letter or digit"),
        (vec![entry(&"x".repeat(ENTRY_BYTES_MAX + 1))], "entry 0: it has 257 bytes, the most is 256"),
        (vec![entry("pin"); ENTRIES_MAX + 1], "20001 entries, the most is 20000"),
    ];
    for (entries, expected) in rows {
        let error = Matcher::new(&entries).expect_err("they are no good");
        assert_eq!(error.to_string().replace("\\u{200b}", "\u{200b}"), expected);
    }
    assert!(matches!(Matcher::new(&[entry("")]), Err(BuildError::Empty { index: 0, .. })));
    assert!(Matcher::new(&[]).expect("an empty list").find("password").is_empty());
}

#[test]
fn shipped_entries_find_themselves() {
    let matcher = Matcher::new(&shipped()).expect("the lists make a matcher");
    for entry in shipped() {
        assert!(matcher.categories(&entry.text).contains(entry.category), "{entry:?}");
        let hits = matcher.find(&entry.text);
        assert!(hits.iter().any(|hit| matcher.entries()[hit.entry] == entry), "{entry:?}: {hits:?}");
    }
}

/// Letters of many scripts with what is put between, on and in the place of them.
fn text() -> impl Strategy<Value = String> {
    let odd = "aAiIlLmMwWoO0139@$!|.-_ ,\n\u{200b}\u{200d}\u{ad}\u{301}\u{308}\u{323}éßİıΝναВвёй密码合同😀กรหัสผ่านำเแํ้न्ङमँंध़ा्عقدةالىيیکـَ각ㄱａ＠🅿🇩";
    let odd: Vec<char> = odd.chars().collect();
    prop::collection::vec(prop_oneof![4 => prop::sample::select(odd), 1 => any::<char>()], 0..24)
        .prop_map(|letters| letters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_folded_once(text in text()) {
        bodies::folding_settles(&text);
    }

    #[test]
    fn any_entry_finds_itself(entry in text(), other in text()) {
        bodies::finds_itself(&entry, &other);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        bodies::words_fold(&bytes);
    }
}

#[test]
fn the_fuzz_corpus_does_no_harm() {
    support::corpus::replay("words_fold", bodies::words_fold);
}

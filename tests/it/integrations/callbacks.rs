//! What Shopify sends a browser back with, before Shopify's own library and before us.

use freehold_domain::integration::shopify::callback::Callback;
use freehold_domain::integration::shopify::{Shop, ShopDomain};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use serde_json::{Value, json};

use crate::webhooks::libraries;

const NOW_S: i64 = 1_790_000_000;
const SECRET: &str = "shpss_secret of Zoë";
const SHOP: &str = "one.myshopify.com";

type Parameters = Vec<(String, String)>;

fn shop() -> Shop {
    ShopDomain::parse("myshopify.com").unwrap().shop(SHOP).unwrap()
}

fn pairs(of: &[(&str, &str)]) -> Parameters {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is signed: as it is sent today, with texts that forms write in their own way, with more, and with less.
fn texts() -> Vec<Parameters> {
    let usual = [("code", "0907a61c"), ("host", "YWRtaW4uc2hvcGlmeS5jb20"), ("shop", SHOP), ("state", "AbC-_0")];
    let mut all = vec![];
    for at in ["1790000000", "1789999910", "1790000090", "1789999909", "1790000091", "", "-1"] {
        all.push([pairs(&usual), pairs(&[("timestamp", at)])].concat());
    }
    for odd in ["a=b==", "a b+c", "%41%2B", "~*'()!", "Zoë 🖨", "a&b=c", "\r\n\t\u{0}", "\"<>\\^`{|}", "", "/?#[]@:;,$"]
    {
        all.push(pairs(&[("code", odd), ("host", odd), ("shop", SHOP), ("state", odd), ("timestamp", "1790000000")]));
    }
    let more =
        [("embedded", "1"), ("id_token", "x.y"), ("locale", "de-CH"), ("session", ""), ("a", "1"), ("zz_z", "2")];
    all.push([pairs(&usual), pairs(&more), pairs(&[("timestamp", "1790000000")])].concat());
    all.push([pairs(&[("timestamp", "1790000000"), ("shop", SHOP)]), pairs(&more)].concat());
    all.push(pairs(&[("shop", SHOP), ("timestamp", "1790000000")]));
    all
}

/// Signed by Node.js, as Shopify's library signs what it compares with.
fn signed(texts: &[Parameters]) -> Vec<Parameters> {
    let asked: Vec<Value> =
        texts.iter().map(|text| json!({ "ask": "callback_mac", "secret": SECRET, "query": text })).collect();
    let macs = libraries(&asked);
    let of =
        |(text, mac): (&Parameters, &Value)| [text.clone(), pairs(&[("hmac", mac["hmac"].as_str().unwrap())])].concat();
    texts.iter().zip(&macs).map(of).collect()
}

/// Ways to spoil it, and ways not to.
fn changed(good: &Parameters) -> Vec<Parameters> {
    let mut all = vec![good.clone(), good.iter().rev().cloned().collect()];
    for at in 0..good.len() {
        let (name, value) = &good[at];
        let mut other = |name: String, value: String| {
            let mut changed = good.clone();
            changed[at] = (name, value);
            all.push(changed);
        };
        other(name.clone(), format!("{value}0"));
        other(name.clone(), value.chars().skip(1).collect());
        other(name.clone(), value.to_uppercase());
        other(name.clone(), format!(" {value}"));
        other(format!("{name}x"), value.clone());
        let mut flipped = value.clone().into_bytes();
        if let Some(last) = flipped.last_mut() {
            *last ^= 1;
        }
        if let Ok(flipped) = String::from_utf8(flipped) {
            other(name.clone(), flipped);
        }
        let mut less = good.clone();
        less.remove(at);
        all.push(less);
    }
    for more in [("more", "1"), ("signature", "of long ago"), ("hmacx", "1")] {
        all.push([good.clone(), pairs(&[more])].concat());
    }
    all
}

fn is_good(of: &Parameters) -> bool {
    let verified =
        Callback::new(of.clone()).verify(&Secret::new(SECRET.to_owned()), &shop(), UnixMs::new(NOW_S * 1_000));
    verified.is_ok()
}

fn library_says(all: &[Parameters]) -> Vec<bool> {
    let ask = |of: &Parameters| json!({ "ask": "callback", "secret": SECRET, "query": of, "now_unix": NOW_S });
    let said = libraries(&all.iter().map(ask).collect::<Vec<_>>());
    said.iter().map(|said| said["ok"].as_bool().unwrap()).collect()
}

#[test]
fn what_shopifys_library_accepts_we_accept_and_nothing_else() {
    let all: Vec<Parameters> = signed(&texts()).iter().flat_map(changed).collect();
    let mut good = 0;
    for (of, said) in all.iter().zip(library_says(&all)) {
        assert_eq!(is_good(of), said, "{of:?}");
        good += usize::from(said);
    }
    // Four of the 20 texts are of another time. Each of the others is good as it is, in another order, and with what is not
    // looked at; and some of their values are the same in capital letters.
    assert!(good >= 16 * 3 && all.len() > good * 4, "{good} of {}", all.len());
}

/// Each is signed, and good to the library, which takes every number, and what is none, for a time, and leaves the shop to others.
#[test]
fn where_we_are_stricter_than_shopifys_library() {
    let with = |at: &str, shop: &str| pairs(&[("code", "1"), ("shop", shop), ("timestamp", at)]);
    let strange = signed(&[
        with("1.79e9", SHOP),
        with(" 1790000000", SHOP),
        with("0x6ab13b80", SHOP),
        with("+1790000000", SHOP),
        with("soon", SHOP),
        pairs(&[("code", "1"), ("shop", SHOP)]),
        with("1790000000", "two.myshopify.com"),
        with("1790000000", "one.evil.example"),
        pairs(&[("code", "1"), ("timestamp", "1790000000")]),
    ]);
    assert_eq!(library_says(&strange), [true; 9]);
    for of in &strange {
        assert!(!is_good(of), "{of:?}");
    }
}

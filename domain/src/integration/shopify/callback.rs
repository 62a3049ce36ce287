//! Whether Shopify sent a browser back: what it brings along is signed with the client secret.
//!
//! `hmac` is the HMAC-SHA-256, in lower-case hex, of every other parameter, sorted by name and written as a form. It says that
//! the code is for this shop, which must be the one that was begun with, and since when, which must be a short while ago.
//!
//! Sources: Shopify, "Implement authorization code grant manually"; @shopify/shopify-api 12.3.0, `hmac-validator`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Shop;
use crate::secret::Secret;
use crate::time::UnixMs;
use crate::webhook::from_hex;

/// How many seconds the time of a signature may be from now, before and after; exactly as far is near enough.
pub const TOLERANCE_S: u64 = 90;

const HMAC: &str = "hmac";
/// What Shopify signed with before it had `hmac`: no part of what is signed, and not looked at.
const SIGNATURE: &str = "signature";
const TIMESTAMP: &str = "timestamp";
const SHOP: &str = "shop";
/// Digits of a time in seconds.
const TIME_DIGITS_MAX: usize = 12;

/// The parameters with which a browser comes back, decoded.
#[derive(Clone, Debug)]
pub struct Callback(Vec<(String, Secret<String>)>);

/// Shopify did not send the browser back, or not now, or not from this shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOfShopify {
    /// A parameter is given twice.
    #[error("a parameter is given twice")]
    Twice,
    /// There is no signature, or it is in another form.
    #[error("not signed")]
    Unsigned,
    /// The signature is none of the client secret over the rest.
    #[error("signed by somebody else, or changed")]
    Signature,
    /// It is of another time, or of none.
    #[error("not signed just now")]
    Time,
    /// It is of another shop than the one that was begun with.
    #[error("another shop")]
    Shop,
}

impl Callback {
    /// What these parameters are.
    pub fn new(parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(parameters.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
    }

    /// Whether Shopify sent it, for `shop`, at about the wall clock `wall`. The signature is compared in constant time, and
    /// before anything that it covers is looked at.
    ///
    /// # Errors
    /// [`NotOfShopify`]
    pub fn verify(&self, client_secret: &Secret<String>, shop: &Shop, wall: UnixMs) -> Result<(), NotOfShopify> {
        let mut known = BTreeMap::new();
        for (name, value) in &self.0 {
            if known.insert(name.as_str(), value.expose().as_str()).is_some() {
                return Err(NotOfShopify::Twice);
            }
        }
        let signature = known.remove(HMAC).and_then(from_hex).ok_or(NotOfShopify::Unsigned)?;
        known.remove(SIGNATURE);
        if client_secret.expose().is_empty() {
            return Err(NotOfShopify::Signature); // of which everybody knows what it signs
        }
        let mut mac =
            Hmac::<Sha256>::new_from_slice(client_secret.expose().as_bytes()).map_err(|_| NotOfShopify::Signature)?; // HMAC takes every length
        mac.update(signed_text(&known).as_bytes());
        mac.verify_slice(&signature).map_err(|_| NotOfShopify::Signature)?;
        let at = known.get(TIMESTAMP).and_then(|text| seconds(text)).ok_or(NotOfShopify::Time)?;
        if wall.as_secs().abs_diff(at) > TOLERANCE_S {
            return Err(NotOfShopify::Time);
        }
        if known.get(SHOP) == Some(&shop.host()) { Ok(()) } else { Err(NotOfShopify::Shop) }
    }
}

fn seconds(text: &str) -> Option<i64> {
    let is_time = (1..=TIME_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_time)
}

/// Parameters in the order of their names, as browsers write forms (WHATWG URL §5.2).
fn signed_text(parameters: &BTreeMap<&str, &str>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1_024));
    for (name, value) in parameters {
        if !text.is_empty() {
            text.push('&');
        }
        push(&mut text, name);
        text.push('=');
        push(&mut text, value);
    }
    text
}

fn push(text: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b' ' => text.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) => text.push(char::from(byte)),
            byte => drop(write!(text, "%{byte:02X}")), // into a String: cannot fail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ShopDomain;
    use super::*;
    use crate::webhook::to_hex;

    const NOW_S: i64 = 1_790_000_000;
    const SECRET: &str = "shpss_0123456789abcdef";
    /// In the order of their names, as they are signed.
    const GOOD: [(&str, &str); 5] = [
        ("code", "0907a61c0c8d55e99db179b68161bc00"),
        ("host", "YWRtaW4uc2hvcGlmeS5jb20vc3RvcmUvZXhhbXBsZQ=="),
        ("shop", "example.myshopify.com"),
        ("state", "a b~*/é"),
        ("timestamp", "1790000000"),
    ];
    const TEXT: &str = "code=0907a61c0c8d55e99db179b68161bc00&host=YWRtaW4uc2hvcGlmeS5jb20vc3RvcmUvZXhhbXBsZQ%3D%3D\
                        &shop=example.myshopify.com&state=a+b%7E*%2F%C3%A9&timestamp=1790000000";

    /// What OpenSSL makes of that text.
    const OF_OPENSSL: &str = "818e890c597dbcb6b4a127946e24f830af146feb951d57a5df9d57bf9006e198";

    fn secret() -> Secret<String> {
        Secret::new(SECRET.to_owned())
    }

    fn shop() -> Shop {
        ShopDomain::parse("myshopify.com").unwrap().shop("example").unwrap()
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn mac(text: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        to_hex(&mac.finalize().into_bytes())
    }

    /// These, signed as Shopify would.
    fn signed(of: &[(&str, &str)]) -> Vec<(String, String)> {
        let mac = mac(&signed_text(&of.iter().copied().collect()));
        [pairs(of), pairs(&[("hmac", &mac)])].concat()
    }

    fn verify(of: Vec<(String, String)>) -> Result<(), NotOfShopify> {
        verify_at(of, NOW_S)
    }

    fn verify_at(of: Vec<(String, String)>, now_s: i64) -> Result<(), NotOfShopify> {
        Callback::new(of).verify(&secret(), &shop(), UnixMs::new(now_s * 1_000))
    }

    /// `GOOD` with another value of this one.
    fn with(name: &str, value: &str) -> Vec<(String, String)> {
        let mut of = GOOD;
        for pair in &mut of {
            if pair.0 == name {
                pair.1 = value;
            }
        }
        signed(&of)
    }

    #[test]
    fn what_is_signed_is_every_parameter_by_name_as_a_form() {
        assert_eq!(signed_text(&GOOD.into_iter().collect()).as_str(), TEXT);
        assert_eq!(mac(TEXT), OF_OPENSSL);
        let mut of = signed(&GOOD);
        assert_eq!(verify(of.clone()), Ok(()));
        of.reverse();
        assert_eq!(verify(of.clone()), Ok(()), "in whatever order they come");
        of.push(("signature".to_owned(), "of long ago".to_owned()));
        assert_eq!(verify(of.clone()), Ok(()));
        of.push(("embedded".to_owned(), "1".to_owned()));
        assert_eq!(verify(of), Err(NotOfShopify::Signature), "one more, whatever it is");
        let more = [GOOD.as_slice(), &[("embedded", "1")]].concat();
        assert_eq!(verify(signed(&more)), Ok(()), "unless it is signed");
    }

    #[test]
    fn one_flipped_bit_of_a_callback_is_refused() {
        let of = signed(&GOOD);
        for at in 0..of.len() {
            let bytes = of[at].1.len();
            for bit in 0..bytes * 8 {
                let mut value = of[at].1.clone().into_bytes();
                value[bit / 8] ^= 1 << (bit % 8);
                let Ok(value) = String::from_utf8(value) else { continue };
                let mut spoiled = of.clone();
                spoiled[at].1 = value;
                assert!(verify(spoiled).is_err(), "{} at bit {bit}", of[at].0);
            }
        }
        for at in 0..of.len() {
            let mut less = of.clone();
            less.remove(at);
            assert!(verify(less).is_err(), "without {}", of[at].0);
            let mut other = of.clone();
            other[at].0.push('x');
            assert!(verify(other).is_err(), "another name for {}", of[at].0);
        }
    }

    #[test]
    fn the_signature_of_a_callback_has_one_form() {
        let good = mac(TEXT);
        for wrong in
            ["", &good.to_uppercase(), &good[2..], &format!("{good}00"), &format!(" {good}"), &good.replace('a', "g")]
        {
            let of = [pairs(&GOOD), pairs(&[("hmac", wrong)])].concat();
            assert_eq!(verify(of), Err(NotOfShopify::Unsigned), "{wrong}");
        }
        assert_eq!(verify(pairs(&GOOD)), Err(NotOfShopify::Unsigned));
        let other = Secret::new("another".to_owned());
        let of = Callback::new(signed(&GOOD));
        assert_eq!(of.verify(&other, &shop(), UnixMs::new(NOW_S * 1_000)), Err(NotOfShopify::Signature));
        let none = Secret::new(String::new());
        assert_eq!(of.verify(&none, &shop(), UnixMs::new(NOW_S * 1_000)), Err(NotOfShopify::Signature));
    }

    #[test]
    fn a_parameter_comes_once() {
        let of = signed(&GOOD);
        for pair in &of {
            let twice = [of.clone(), vec![pair.clone()]].concat();
            assert_eq!(verify(twice), Err(NotOfShopify::Twice), "{}", pair.0);
        }
    }

    #[test]
    fn ninety_seconds_to_both_sides_and_no_second_more() {
        let of = || signed(&GOOD);
        for near in [-90, -1, 0, 1, 90] {
            assert_eq!(verify_at(of(), NOW_S + near), Ok(()), "{near}");
        }
        for far in [-91, 91, 86_400, -NOW_S] {
            assert_eq!(verify_at(of(), NOW_S + far), Err(NotOfShopify::Time), "{far}");
        }
        for wrong in [
            "",
            "now",
            "1.79e9",
            "0x6ab13b80",
            " 1790000000",
            "+1790000000",
            "-1",
            "1790000000.0",
            "17900000000000000000",
        ] {
            assert_eq!(verify(with("timestamp", wrong)), Err(NotOfShopify::Time), "{wrong}");
        }
        assert_eq!(verify(signed(&GOOD[..4])), Err(NotOfShopify::Time));
    }

    #[test]
    fn the_shop_is_the_one_that_was_begun_with() {
        for other in ["other.myshopify.com", "example", "EXAMPLE.myshopify.com", "example.myshopify.com.", ""] {
            assert_eq!(verify(with("shop", other)), Err(NotOfShopify::Shop), "{other}");
        }
        let without: Vec<_> = GOOD.into_iter().filter(|(name, _)| *name != "shop").collect();
        assert_eq!(verify(signed(&without)), Err(NotOfShopify::Shop));
    }

    #[test]
    fn what_came_back_is_not_shown() {
        let shown = format!("{:?}", Callback::new(signed(&GOOD)));
        assert!(!shown.contains("0907a6") && shown.contains("[secret]"), "{shown}");
    }
}

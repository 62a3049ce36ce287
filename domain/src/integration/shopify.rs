//! Shopify: which texts name a shop.
//!
//! A tenant names the shop, and the client secret is sent there. So nothing is a shop but one label right below the domain
//! where all shops are, and that domain is the operator's to say (Shopify, "Implement authorization code grant manually",
//! security checks; RFC 1035 §2.3.4).

pub mod callback;

/// Characters of a label of a name.
const LABEL_CHARS_MAX: usize = 63;
/// Characters of the domain, so that a label in front of it still makes a name of the DNS (253).
const DOMAIN_CHARS_MAX: usize = 253 - LABEL_CHARS_MAX - 1;

/// The domain right below which all shops are, and at which port: `myshopify.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopDomain {
    name: String,
    port: Option<u16>,
}

/// A shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shop {
    host: String,
    port: Option<u16>,
}

/// No shop is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAShop {
    /// The text names none.
    #[error(
        "must be a label of a-z, 0-9 and hyphens, alone or before the domain of all shops, such as example.myshopify.com"
    )]
    NotOne,
    /// There is no text.
    #[error("is required")]
    Missing,
    /// There is one, and the service has no shops.
    #[error("is not a part of what this service is connected by")]
    Strange,
}

impl ShopDomain {
    /// The domain that `text` is: a name in lower case with a dot in it, so that nobody has a whole top-level domain of shops,
    /// and perhaps a port. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.split_once(':') {
            None => (text, None),
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (name, Some(port.parse().ok().filter(|port| *port > 0)?))
            }
            Some(_) => return None,
        };
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let is_name =
            name.contains('.') && name.split('.').all(is_label) && !name.rsplit('.').next().is_none_or(is_number);
        (is_name && name.len() <= DOMAIN_CHARS_MAX).then(|| Self { name: name.to_owned(), port })
    }

    /// The shop that `text` names, by its label or by its whole name.
    ///
    /// # Errors
    /// [`NotAShop::NotOne`]
    pub fn shop(&self, text: &str) -> Result<Shop, NotAShop> {
        let label = match text.split_once('.') {
            None => text,
            Some((label, domain)) if domain == self.name => label,
            Some(_) => return Err(NotAShop::NotOne),
        };
        if is_label(label) {
            Ok(Shop { host: format!("{label}.{}", self.name), port: self.port })
        } else {
            Err(NotAShop::NotOne)
        }
    }
}

impl Shop {
    /// Its name, as Shopify and the DNS have it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The URL of a path there.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("https://{}{port}{path}", self.host)
    }
}

fn is_label(label: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = label.as_bytes();
    bytes.len() <= LABEL_CHARS_MAX
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_is_one_label_below_the_domain_of_all_shops() {
        let domain = ShopDomain::parse("myshopify.com").unwrap();
        let longest = "a".repeat(63);
        for (text, host) in [
            ("example", "example.myshopify.com"),
            ("example.myshopify.com", "example.myshopify.com"),
            ("0-a", "0-a.myshopify.com"),
            ("7", "7.myshopify.com"),
            (&longest, &format!("{longest}.myshopify.com")),
        ] {
            let shop = domain.shop(text).unwrap();
            assert_eq!((shop.host(), shop.url("/a?b")), (host, format!("https://{host}/a?b")));
            assert_eq!(domain.shop(shop.host()), Ok(shop), "{text}");
        }
        for wrong in [
            "",
            ".myshopify.com",
            "-a",
            "a-",
            "-a.myshopify.com",
            "a-.myshopify.com",
            "a_b",
            "Example",
            "EXAMPLE.myshopify.com",
            "example.MyShopify.com",
            "example.myshopify.com.",
            "example.myshopify.com/",
            "example.myshopify.com:443",
            "example.myshopify.com.evil.example",
            "evil.example",
            "evil.example/.myshopify.com",
            "evil.example#.myshopify.com",
            "a.b.myshopify.com",
            "examplemyshopify.com",
            "https://example.myshopify.com",
            "u@example.myshopify.com",
            "example.myshopify.com\n",
            " example",
            "ex ample",
            "ex%61mple",
            "exämple",
            &"a".repeat(64),
            &format!("{}.myshopify.com", "a".repeat(64)),
        ] {
            assert_eq!(domain.shop(wrong), Err(NotAShop::NotOne), "{wrong:?}");
        }
    }

    #[test]
    fn a_domain_of_shops_has_a_dot_and_perhaps_a_port() {
        let at = ShopDomain::parse("myshopify.test:8443").unwrap().shop("a").unwrap();
        assert_eq!((at.host(), at.url("/").as_str()), ("a.myshopify.test", "https://a.myshopify.test:8443/"));
        let longest = format!("{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(61));
        assert_eq!(longest.len(), DOMAIN_CHARS_MAX);
        assert!(ShopDomain::parse(&longest).is_some());
        for wrong in [
            "",
            "com",
            "localhost",
            ".com",
            "a..com",
            "a.com.",
            "-a.com",
            "a.b-",
            "A.com",
            "a_b.com",
            "1.2.3.4",
            "a.1",
            "a.com:",
            "a.com:0",
            "a.com:65536",
            "a.com:+1",
            "a.com:1:2",
            "[::1]:1",
            "https://a.com",
            "a.com/",
            "u@a.com",
            " a.com",
            &format!("{longest}c"),
        ] {
            assert_eq!(ShopDomain::parse(wrong), None, "{wrong:?}");
        }
    }
}

//! Rich text of members: HTML that was cleaned before it is stored, so that whatever is read is safe to show.
//!
//! The policy is this file: paragraphs, lists, headings, emphasis, code and links, and nothing else. No style, no image, no
//! form, no name that a page could take for its own; what is left of a link opens elsewhere and tells nobody from where.
//!
//! Source: OWASP Cross Site Scripting Prevention Cheat Sheet, "HTML Sanitization".

use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most characters of what is given, and of what is left of it.
pub const CHARS_MAX: usize = 8_192;
/// Most tags of what is given. HTML opens again what was left open, so that what is left may be as long as their product.
pub const TAGS_MAX: usize = 400;

const TAGS: [&str; 16] =
    ["a", "b", "blockquote", "br", "code", "em", "h2", "h3", "i", "li", "ol", "p", "pre", "s", "strong", "ul"];
/// Elements whose text is no text.
const TAKEN_WHOLE: [&str; 10] =
    ["script", "style", "template", "title", "textarea", "noscript", "iframe", "noembed", "noframes", "xmp"];
const SCHEMES: [&str; 2] = ["https", "mailto"];
const LINKS: &str = "noopener noreferrer nofollow";

static POLICY: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut policy = Builder::empty();
    policy
        .tags(TAGS.into())
        .generic_attributes([].into())
        .tag_attributes([("a", ["href"].into())].into())
        .clean_content_tags(TAKEN_WHOLE.into())
        .url_schemes(SCHEMES.into())
        .url_relative(UrlRelative::Deny)
        .link_rel(Some(LINKS))
        .attribute_filter(|_, name, value| (name != "href" || leads_elsewhere(value)).then(|| value.into()))
        .strip_comments(true);
    policy
});

/// HTML by the policy; empty when there is none. Stored as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RichText(String);

/// The text is none that is kept. The messages are fit for a problem's `errors[].message`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotRichText {
    /// It is too long, or what is left of it is.
    #[error("must have at most {CHARS_MAX} characters, also once it is cleaned")]
    TooLong,
    /// It has too many tags.
    #[error("must have at most {TAGS_MAX} tags")]
    TooManyTags,
    /// It holds a control character that ends no line.
    #[error("must not contain control characters")]
    Control,
}

/// Whether a link says in full where it leads: what follows a scheme without slashes, browsers may take for a path of the
/// page's own host, and a name before an `@` for the host.
fn leads_elsewhere(link: &str) -> bool {
    let (scheme, rest) = link.split_once(':').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("mailto") {
        return true;
    }
    let authority = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?', '#', '\\']).next());
    authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('@'))
}

impl RichText {
    /// What the policy leaves of this.
    ///
    /// # Errors
    /// [`NotRichText`].
    pub fn clean(text: &str) -> Result<Self, NotRichText> {
        let is_long = |text: &str| text.chars().nth(CHARS_MAX).is_some();
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(NotRichText::Control);
        }
        if is_long(text) {
            return Err(NotRichText::TooLong);
        }
        if text.matches('<').count() > TAGS_MAX {
            return Err(NotRichText::TooManyTags);
        }
        let left = POLICY.clean(text.trim()).to_string();
        if is_long(&left) { Err(NotRichText::TooLong) } else { Ok(Self(left)) }
    }

    /// The HTML.
    #[must_use]
    pub fn as_html(&self) -> &str {
        &self.0
    }

    /// Which text it is, for whoever compares two and need not see either: its length and the beginning of its SHA-256.
    #[must_use]
    pub fn told(&self) -> String {
        if self.0.is_empty() {
            return "none".to_owned();
        }
        let hash = Sha256::digest(self.0.as_bytes());
        let beginning = hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        format!("{} bytes, SHA-256 {beginning:016x}…", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        RichText::clean(text).expect("short enough").0
    }

    #[test]
    fn what_the_policy_names_stays() {
        for text in [
            "",
            "a &amp; b &lt;c&gt;",
            "<h2>Hours</h2><p>We are <strong>open</strong>, <em>mostly</em>.<br>Call.</p>",
            "<ul><li>one</li></ul><ol><li>two</li></ol><pre><code>x</code></pre><blockquote>y</blockquote>",
            "<a href=\"https://example.com/a?b=1&amp;c\" rel=\"noopener noreferrer nofollow\">here</a>",
            "<a href=\"mailto:a@example.com\" rel=\"noopener noreferrer nofollow\">mail</a>",
        ] {
            assert_eq!(cleaned(text), text);
            assert_eq!(cleaned(&cleaned(text)), text, "once is enough");
        }
    }

    /// Ways in that others have found, and that reading HTML twice opens (mXSS).
    #[test]
    fn what_could_run_or_disguise_itself_goes() {
        for (text, left) in [
            ("<script>alert(1)</script>x", "x"),
            ("<img src=x onerror=alert(1)>", ""),
            ("<svg onload=alert(1)><p>x</p></svg>", "<p>x</p>"),
            ("<p onclick=alert(1) style=\"position:fixed\" id=form class=a>x</p>", "<p>x</p>"),
            ("<a href=javascript:alert(1)>x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<a href=\"JaVaScRiPt&#58;alert(1)\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            (
                "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
                "<a rel=\"noopener noreferrer nofollow\">x</a>",
            ),
            ("<a href=//evil.test target=_self rel=opener>x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<a href=/v1/auth/logout>x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<a href=\"https:v1/auth/logout\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<a href=\"https:/v1/me\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<a href=\"https://acme.test@evil.test/\">x</a>", "<a rel=\"noopener noreferrer nofollow\">x</a>"),
            ("<form action=https://evil.test><input name=password><button>x</button></form>", "x"),
            ("<base href=https://evil.test><meta http-equiv=refresh content=0><link rel=stylesheet href=x>", ""),
            ("<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>", ""),
            ("<!-- <script>alert(1)</script> --><!--[if IE]>x<![endif]-->y", "y"),
            ("<style>@import 'https://evil.test'</style><template><p>x</template>", ""),
            ("<p title=\"</p><script>alert(1)</script>\">x</p>", "<p>x</p>"),
            ("<scr<script>ipt>alert(1)</script>", "ipt&gt;alert(1)"),
        ] {
            assert_eq!(cleaned(text), left, "{text}");
        }
        for text in [
            "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
            "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
            "<b><noembed><img title=\"</noembed><img src onerror=alert(1)>\"></b>",
            "<select><template><img src=x onerror=alert(1)></template></select>",
            "<scr<!-- -->ipt>alert(1)</scr<!-- -->ipt><img/src=`x`onerror=alert(1)>",
        ] {
            let left = cleaned(text);
            assert_eq!(cleaned(&left), left, "{text}");
            assert!(!left.contains("<img") && !left.contains("<scr") && !left.contains("<style"), "{text}: {left}");
        }
    }

    #[test]
    fn it_is_bounded_and_two_are_told_apart() {
        let long = "ä".repeat(CHARS_MAX);
        assert!(RichText::clean(&long).is_ok());
        assert_eq!(RichText::clean(&(long + "x")), Err(NotRichText::TooLong));
        assert_eq!(
            RichText::clean(&"&".repeat(CHARS_MAX)),
            Err(NotRichText::TooLong),
            "five times as long once it is cleaned"
        );
        assert_eq!(RichText::clean("a\u{0}b"), Err(NotRichText::Control));
        // What is left open is opened again in each paragraph.
        let opened = |open: usize, paragraphs: usize| {
            let open = (0..open).map(|n| format!("<b x{n}>")).collect::<Vec<_>>().concat();
            RichText::clean(&("<p>".to_owned() + &open + &"<p>x".repeat(paragraphs)))
        };
        assert_eq!(opened(TAGS_MAX - 100, 101), Err(NotRichText::TooManyTags));
        assert_eq!(opened(199, 200), Err(NotRichText::TooLong));
        assert!(opened(10, 10).is_ok());
        let told = |text: &str| RichText::clean(text).expect("short enough").told();
        assert_eq!(told("<script></script>"), "none");
        assert_eq!(told("one"), "3 bytes, SHA-256 7692c3ad3540bb80…");
        assert_ne!(told("one"), told("two"));
    }
}

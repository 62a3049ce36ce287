//! The listeners: whether they answer, and with the headers that every answer should have.

use std::io;
use std::net::SocketAddr;

use freehold_http::client_address::{Scheme, TrustedProxies};
use freehold_http::headers::amiss;
use freehold_http::host::Platform;
use freehold_http::http_date;

use super::client::{Answer, connect, get};
use super::finding::Finding;
use super::{clock, tls};
use crate::config::{Config, Profile};

const HSTS: &str = "strict-transport-security";
const PORT_REMEDY: &str = "write a port that is not 0: nobody can be told one that the system chooses";
const UPDATE_REMEDY: &str = "see what stands between: the server itself sends them with every answer";

/// Probes: whether the node is ready, and why not; and what its clock says.
pub(super) async fn private(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "private-listener";
    let listen = config.private.listen;
    let asked = async { get(connect(listen).await?, ("localhost", "/readyz"), None).await };
    let answer = match answered(CHECK, ("FREEHOLD_PRIVATE_LISTEN", listen), asked).await {
        Ok(answer) => answer,
        Err(finding) => return vec![finding],
    };
    let ready = if answer.status == 200 {
        Finding::good(CHECK, format!("the server at {listen} is ready"))
    } else {
        let found = format!("the server at {listen} is not ready: {} {}", answer.status, answer.body.trim());
        Finding::bad(CHECK, found, "mend what it names; its log has more")
    };
    let date = answer.header("date").and_then(http_date::parse);
    [Some(ready), date.map(|date| clock("clock-server", "the server's", date))].into_iter().flatten().collect()
}

/// What everybody gets: an answer, and its headers.
pub(super) async fn public(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "public-listener";
    let (listen, domain) = (config.http.listen, config.platform.domain.as_str());
    let is_tls = tls::is_spoken(config);
    let proxies = TrustedProxies::new(config.http.trusted_proxies.clone());
    let mut is_believed = false;
    let asked = async {
        let stream = connect(listen).await?;
        is_believed = proxies.trusts(stream.local_addr()?.ip());
        // What is there at this domain and at no other: a server that has another is not the one that is set up.
        let ask = (domain, "/security.json");
        let forwarded = (!is_tls && !proxies.is_empty()).then_some("https");
        if is_tls {
            get(tls::shake_hands(stream, domain).await?, ask, forwarded).await
        } else {
            get(stream, ask, forwarded).await
        }
    };
    let answer = match answered(CHECK, ("FREEHOLD_HTTP_LISTEN", listen), asked).await {
        Ok(answer) => answer,
        Err(finding) => return vec![finding],
    };
    // Who is no trusted proxy and speaks no TLS is sent to HTTPS in production, with the same headers.
    let is_sent_away = config.profile == Profile::Production && !is_tls && !is_believed && answer.status == 308;
    let ready = if answer.status == 200 || is_sent_away {
        Finding::good(CHECK, format!("{domain} is answered at {listen}"))
    } else {
        let found = format!("{domain} is answered with {} at {listen}", answer.status);
        Finding::bad(CHECK, found, "see that this port is the server's, and its log")
    };
    let scheme = if is_tls || is_believed { Scheme::Https } else { Scheme::Http };
    let mut findings = vec![ready];
    findings.extend(headers(config, scheme, &answer));
    findings
}

fn headers(config: &Config, scheme: Scheme, answer: &Answer) -> [Finding; 2] {
    let domain = config.platform.domain.as_str();
    let amiss = Platform::new(domain).map(|platform| amiss(&answer.headers, scheme, domain, &platform));
    let (hsts, others): (Vec<_>, Vec<_>) = amiss.unwrap_or_default().into_iter().partition(|name| name == HSTS);
    let security = if others.is_empty() {
        Finding::good("security-headers", "an answer has every one")
    } else {
        Finding::bad(
            "security-headers",
            format!("missing, or not as they should be: {}", others.join(", ")),
            UPDATE_REMEDY,
        )
    };
    let hsts = match (hsts.is_empty(), answer.header(HSTS)) {
        (true, Some(value)) => Finding::good("hsts", format!("browsers are told to come by HTTPS alone: {value}")),
        (true, None) if scheme == Scheme::Https => {
            Finding::good("hsts", format!("not told, since {domain} is a local name"))
        }
        (true, None) => Finding::good("hsts", "not told here, where no TLS is spoken"),
        (false, told) => {
            let found = format!("browsers are told {} at {domain}", told.unwrap_or("nothing"));
            Finding::bad("hsts", found, UPDATE_REMEDY)
        }
    };
    [security, hsts]
}

/// Whoever comes without TLS is sent to HTTPS.
pub(super) async fn redirect(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "redirect-listener";
    let Some(listen) = config.http.redirect else { return vec![] };
    let domain = config.platform.domain.as_str();
    let asked = async { get(connect(listen).await?, (domain, "/"), None).await };
    let answer = match answered(CHECK, ("FREEHOLD_HTTP_REDIRECT_LISTEN", listen), asked).await {
        Ok(answer) => answer,
        Err(finding) => return vec![finding],
    };
    let to = answer.header("location").unwrap_or_default();
    if answer.status == 308 && to.starts_with(&format!("https://{domain}")) {
        return vec![Finding::good(CHECK, format!("{listen} sends to {to}"))];
    }
    let found = format!("{listen} answers {domain} with {} and not by sending to HTTPS", answer.status);
    vec![Finding::bad(CHECK, found, "see that this port is the server's")]
}

/// The answer, or what is wrong with a listener that gives none.
async fn answered(
    check: &'static str,
    (setting, listen): (&str, SocketAddr),
    asked: impl Future<Output = io::Result<Answer>>,
) -> Result<Answer, Finding> {
    if listen.port() == 0 {
        return Err(Finding::bad(check, format!("{setting} leaves the port to the system"), PORT_REMEDY));
    }
    asked.await.map_err(|error| {
        let remedy =
            format!("start the server, and see that {setting} is its address and that nothing else holds the port");
        Finding::bad(check, format!("there is no answer at {listen} ({error})"), remedy)
    })
}

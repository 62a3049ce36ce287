//! From plain HTTP to HTTPS: the same address, by a 308, which keeps method and body (RFC 9110 §15.4.9); and the answers to
//! HTTP challenges of a certificate authority (RFC 8555 §8.3), which asks whose a host is before that has a certificate;
//! and the pages that prove custom domains.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use freehold_actors::acme::{Challenges, NoAnswer};
use freehold_actors::node::Node;
use freehold_actors::ops::context::Counted;
use freehold_domain::acme::ChallengeToken;
use freehold_domain::custom_domain::PROOF_PATH;
use tower::{Layer, Service, service_fn};

use crate::admission;
use crate::arrival::Arrival;
use crate::domains;
use crate::edge::{EdgeLayer, EdgeOptions};
use crate::headers::no_store;
use crate::host::{Authority, Place};
use crate::problem::{Kind, Problem};

/// Under which an authority asks.
const CHALLENGES: &str = "/.well-known/acme-challenge/";
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// What is sent on. The rest of the server has no route for any other method either.
const SENT_ON: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
/// How soon whoever was not answered may ask again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A listener that sends everybody to HTTPS; where certificates are ordered it gives the answers of `challenges`, and it shows
/// the proofs of custom domains, which are looked for here. It does nothing else. Requests are counted by their address.
#[must_use]
pub fn service(
    edge: EdgeOptions,
    node: Arc<Node>,
    challenges: Option<Challenges>,
) -> impl Service<Request, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static {
    let answer = move |request: Request| {
        let (node, challenges) = (Arc::clone(&node), challenges.clone());
        let (head, _) = request.into_parts();
        async move { Ok(answer(&head, &node, challenges.as_ref()).await.unwrap_or_else(IntoResponse::into_response)) }
    };
    EdgeLayer::new(edge).layer(service_fn(answer))
}

async fn answer(request: &Parts, node: &Node, challenges: Option<&Challenges>) -> Result<Response<Body>, Problem> {
    let arrival = Arrival::of(&request.extensions)?;
    admission::knock(node, request, arrival, &Counted::default())?;
    let (host, place) = arrival.host.as_ref().ok_or_else(unknown)?;
    let asked = request.uri.path().strip_prefix(CHALLENGES).filter(|_| request.method == Method::GET);
    if let (Some(challenges), Some(token)) = (challenges, asked) {
        return prove(challenges, host, token).await;
    }
    if !SENT_ON.contains(&request.method) {
        return Err(Problem::new(Kind::MethodNotAllowed).allow("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    if *place == Place::Unknown {
        admission::note_domain(node, arrival).await?;
        let domain = arrival.domain().ok_or_else(unknown)?;
        if request.uri.path() == PROOF_PATH {
            return Ok(domains::shown_proof(domain));
        }
    }
    Ok(to_https(host, &request.uri, node.settings.public_port))
}

/// The answer to a challenge: only the host that a certificate is ordered for has it.
async fn prove(challenges: &Challenges, host: &Authority, token: &str) -> Result<Response<Body>, Problem> {
    let token = ChallengeToken::parse(token).map_err(|_| unknown())?;
    let answer = challenges.answer(host.host(), &token).await.map_err(|error| match error {
        NoAnswer::Unknown => unknown(),
        NoAnswer::Unavailable => Problem::new(Kind::Unavailable).retry_after(ASK_AGAIN),
    })?;
    Ok(no_store(([(CONTENT_TYPE, OCTETS)], answer)))
}

fn unknown() -> Problem {
    Problem::new(Kind::NotFound)
}

/// The same address over HTTPS.
pub(crate) fn to_https(host: &Authority, uri: &Uri, port: Option<u16>) -> Response<Body> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("https://{}{port}{target}", host.host()));
    match location {
        Ok(location) if target.starts_with('/') => {
            (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response()
        }
        Ok(_) | Err(_) => Problem::invalid("(target)", "cannot be sent on").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_stays_and_only_the_scheme_and_port_change() {
        let host = Authority::parse("Acme.example.com:8080").expect("a host");
        for (target, port, expected) in [
            ("/v1/me?a=%0d%0ab&c", None, "https://acme.example.com/v1/me?a=%0d%0ab&c"),
            ("/", Some(8443), "https://acme.example.com:8443/"),
            ("http://acme.example.com/x", None, "https://acme.example.com/x"),
            ("//evil.test/", None, "https://acme.example.com//evil.test/"),
        ] {
            let answer = to_https(&host, &target.parse().expect("a target"), port);
            assert_eq!(answer.status(), StatusCode::PERMANENT_REDIRECT);
            assert_eq!(answer.headers()[LOCATION], expected);
        }
        assert_eq!(to_https(&host, &"*".parse().expect("a target"), None).status(), StatusCode::BAD_REQUEST);
    }
}

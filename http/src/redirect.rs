//! From plain HTTP to HTTPS: the same address, by a 308, which keeps method and body (RFC 9110 §15.4.9).

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use tower::{Layer, Service, service_fn};

use crate::arrival::Arrival;
use crate::edge::{EdgeLayer, EdgeOptions};
use crate::host::{Authority, Place};
use crate::problem::{Kind, Problem};

/// A listener that does nothing but send everybody to HTTPS, at this port where it is not 443.
#[must_use]
pub fn service(
    edge: EdgeOptions,
    port: Option<u16>,
) -> impl Service<Request, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static {
    let answer = move |request: Request| async move {
        let arrival = Arrival::of(request.extensions());
        let answer = arrival.and_then(|arrival| {
            let (host, _) = arrival.host.as_ref().filter(|(_, place)| *place != Place::Unknown).ok_or_else(unknown)?;
            Ok(to_https(host, request.uri(), port))
        });
        Ok(answer.unwrap_or_else(IntoResponse::into_response))
    };
    EdgeLayer::new(edge).layer(service_fn(answer))
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

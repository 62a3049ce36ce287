//! One router per kind of host: what is served at a tenant's host is not reachable at the API's, and so on.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::routing::future::RouteFuture;
use tower::Service;

use crate::fallback::finish;
use crate::host::Place;

/// The routers of the public listener, by the place that the edge found for the request's host.
#[derive(Clone, Debug)]
pub struct Faces {
    apex: Router,
    tenant: Router,
    api: Router,
    admin: Router,
    unknown: Router,
}

impl Default for Faces {
    /// Every host answers 404.
    fn default() -> Self {
        let nothing = finish(Router::new());
        Self {
            apex: nothing.clone(),
            tenant: nothing.clone(),
            api: nothing.clone(),
            admin: nothing.clone(),
            unknown: nothing,
        }
    }
}

impl Faces {
    /// What the platform's own domain serves.
    #[must_use]
    pub fn apex(self, routes: Router) -> Self {
        Self { apex: finish(routes), ..self }
    }

    /// What `{tenant}.{platform}` serves.
    #[must_use]
    pub fn tenant(self, routes: Router) -> Self {
        Self { tenant: finish(routes), ..self }
    }

    /// What `api.{platform}` serves.
    #[must_use]
    pub fn api(self, routes: Router) -> Self {
        Self { api: finish(routes), ..self }
    }

    /// What `admin.{platform}` serves.
    #[must_use]
    pub fn admin(self, routes: Router) -> Self {
        Self { admin: finish(routes), ..self }
    }

    /// What other hosts serve: custom domains, once they are verified.
    #[must_use]
    pub fn unknown(self, routes: Router) -> Self {
        Self { unknown: finish(routes), ..self }
    }
}

impl Service<Request> for Faces {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // a router is always ready
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let router = match request.extensions().get::<Place>() {
            Some(Place::Apex) => &mut self.apex,
            Some(Place::Tenant(_)) => &mut self.tenant,
            Some(Place::Api) => &mut self.api,
            Some(Place::Admin) => &mut self.admin,
            Some(Place::Unknown) | None => &mut self.unknown,
        };
        router.call(request)
    }
}

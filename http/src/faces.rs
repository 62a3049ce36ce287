//! One router per kind of host: what is served at a tenant's host is not reachable at the API's, and so on.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use axum::routing::future::RouteFuture;
use tower::Service;

use crate::access::Routes;
use crate::admission::Admitted;
use crate::arrival::Arrival;
use crate::fallback::finish;
use crate::host::Place;

/// The routers of the public listener, by the place that the edge found for the request's host.
#[derive(Clone, Debug, Default)]
pub struct Faces(Arc<Routers>);

#[derive(Clone, Debug)]
struct Routers {
    apex: Router,
    tenant: Router,
    api: Router,
    admin: Router,
    unknown: Router,
}

impl Default for Routers {
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
    pub fn apex(self, routes: Routes) -> Self {
        Self(Arc::new(Routers { apex: finish(routes.into_router()), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// What `{tenant}.{platform}` and custom domains serve.
    #[must_use]
    pub fn tenant(self, routes: Routes) -> Self {
        Self(Arc::new(Routers { tenant: finish(routes.into_router()), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// What `api.{platform}` serves.
    #[must_use]
    pub fn api(self, routes: Routes) -> Self {
        Self(Arc::new(Routers { api: finish(routes.into_router()), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// What `admin.{platform}` serves.
    #[must_use]
    pub fn admin(self, routes: Routes) -> Self {
        Self(Arc::new(Routers { admin: finish(routes.into_router()), ..Arc::unwrap_or_clone(self.0) }))
    }

    /// What other hosts serve, but custom domains, which serve what a tenant's host does.
    #[must_use]
    pub fn unknown(self, routes: Routes) -> Self {
        Self(Arc::new(Routers { unknown: finish(routes.into_router()), ..Arc::unwrap_or_clone(self.0) }))
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
        let Routers { apex, tenant, api, admin, unknown } = &*self.0;
        let router = match Arrival::of(request.extensions()).ok().and_then(|arrival| arrival.place()) {
            Some(Place::Apex) => apex,
            Some(Place::Tenant(_)) => tenant,
            Some(Place::Api) => api,
            Some(Place::Admin) => admin,
            Some(Place::Unknown) if request.extensions().get::<Admitted>().is_some() => tenant, // by a custom domain
            Some(Place::Unknown) | None => unknown,
        };
        router.clone().call(request)
    }
}

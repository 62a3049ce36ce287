//! What a router answers when it has no such route, or not with that method.

use axum::Router;

use crate::problem::{Kind, Problem};
use crate::series::NoteRoute;

/// Finishes a router: 404 and 405 (axum adds `Allow`) are problems, and the matched route is noted for the log.
/// Call it last, when all routes are in.
pub fn finish(router: Router) -> Router {
    router.fallback(not_found).method_not_allowed_fallback(method_not_allowed).layer(NoteRoute)
}

/// The answer to everything that is not there.
pub async fn not_found() -> Problem {
    Problem::new(Kind::NotFound)
}

async fn method_not_allowed() -> Problem {
    Problem::new(Kind::MethodNotAllowed)
}

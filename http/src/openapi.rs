//! `GET /openapi.json`: the reference, generated from the code.

use axum::Json;
use serde_json::{Value, json};

/// `GET /openapi.json` of a tenant's host.
pub async fn tenant() -> Json<Value> {
    Json(json!({}))
}

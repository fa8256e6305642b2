//! The queries that the documents show, run against the schema.

use super::store::Store;

const PAGE: &str = include_str!("../../../docs/DASHBOARDS.md");
const GRAFANA: &str = include_str!("../../../docs/grafana/sysmonstm.json");

/// Every block of a page that is marked as SQL.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```sql\n").skip(1).filter_map(|after| after.split_once("```").map(|(block, _)| block)).collect()
}

/// Every query of a dashboard, wherever it is.
fn queries(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "rawSql" || name == "query" => found.push(text.to_owned()),
                    _ => queries(value, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

/// As Grafana's data source replaces them.
fn without_macros(query: &str) -> String {
    let mut text = query.replace("$machine", "web-1");
    while let Some((before, after)) = text.split_once("$__timeFilter(") {
        let (column, rest) = after.split_once(')').unwrap();
        text = format!("{before}{column} BETWEEN '2025-01-01T00:00:00Z' AND '2035-01-01T00:00:00Z'{rest}");
    }
    text
}

#[tokio::test]
async fn every_query_that_the_documents_show_runs() {
    let dashboard = serde_json::from_str(GRAFANA).unwrap();
    let mut found: Vec<String> = blocks(PAGE).into_iter().map(str::to_owned).collect();
    let of_the_page = found.len();
    queries(&dashboard, &mut found);
    assert!(8 <= of_the_page && of_the_page + 8 <= found.len(), "{of_the_page} of {}", found.len());
    for store in Store::of_both().await {
        for query in &found {
            store.sql(&without_macros(query)).await;
        }
    }
}

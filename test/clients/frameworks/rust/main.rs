//! The tasks of a service, each with a session of rmcp, all at once. JOBS: [{"job", "url", "calls": [{"tool", "args"}]}]; prints a line of JSON
//! for each, with what each call was answered.

use rmcp::model::{CallToolRequestParams, ClientInfo};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::ServiceExt;
use serde_json::{json, Value};

/// What each call of a job was answered.
async fn handed(job: &Value) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
    let transport = StreamableHttpClientTransport::from_uri(job["url"].as_str().unwrap_or_default());
    let client = ClientInfo::default().serve(transport).await?;
    let mut handed = Vec::new();
    for call in job["calls"].as_array().unwrap_or(&Vec::new()) {
        let tool = call["tool"].as_str().unwrap_or_default().to_owned();
        let args = call["args"].as_object().cloned().unwrap_or_default();
        handed.push(match client.call_tool(CallToolRequestParams::new(tool).with_arguments(args)).await {
            Ok(result) => texts_of(&serde_json::to_value(result.content)?),
            Err(error) => error.to_string(),
        });
    }
    client.cancel().await?;
    Ok(handed)
}

fn texts_of(content: &Value) -> String {
    let parts = content.as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
}

#[tokio::main]
async fn main() {
    let jobs: Vec<Value> = serde_json::from_str(&std::env::var("JOBS").expect("JOBS")).expect("jobs in JSON");
    let all: Vec<_> = jobs
        .into_iter()
        .map(|job| {
            tokio::spawn(async move {
                match handed(&job).await {
                    Ok(handed) => println!("{}", json!({ "job": job["job"], "handed": handed })),
                    Err(error) => println!("{}", json!({ "job": job["job"], "error": error.to_string() })),
                }
            })
        })
        .collect();
    for one in all {
        one.await.expect("a job ends");
    }
}

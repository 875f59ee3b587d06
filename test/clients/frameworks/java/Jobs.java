import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.McpSyncClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.json.McpJsonMapper;
import io.modelcontextprotocol.json.TypeRef;
import io.modelcontextprotocol.spec.McpSchema.CallToolRequest;
import io.modelcontextprotocol.spec.McpSchema.TextContent;
import java.net.URI;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * The tasks of a service, each with a session of the Java SDK, all at once. JOBS: [{"job", "url", "calls": [{"tool", "args"}]}]; prints a line of
 * JSON for each, with what each call was answered.
 */
class Jobs {
  record Call(String tool, Map<String, Object> args) {}

  record Job(String job, String url, List<Call> calls) {}

  static List<String> handed(Job job) {
    URI url = URI.create(job.url());
    HttpClientStreamableHttpTransport transport =
        HttpClientStreamableHttpTransport.builder("http://" + url.getAuthority()).endpoint(url.getPath()).build();
    try (McpSyncClient client = McpClient.sync(transport).build()) {
      client.initialize();
      List<String> handed = new ArrayList<>();
      for (Call call : job.calls()) {
        try {
          handed.add(
              client.callTool(new CallToolRequest(call.tool(), call.args())).content().stream()
                  .map(part -> ((TextContent) part).text())
                  .collect(Collectors.joining("\n")));
        } catch (RuntimeException error) {
          handed.add(String.valueOf(error.getMessage()));
        }
      }
      return handed;
    }
  }

  static Map<String, Object> ended(Job job) {
    Map<String, Object> end = new LinkedHashMap<>();
    end.put("job", job.job());
    try {
      end.put("handed", handed(job));
    } catch (RuntimeException error) {
      end.put("error", String.valueOf(error));
    }
    return end;
  }

  public static void main(String[] args) throws Exception {
    McpJsonMapper json = McpJsonDefaults.getMapper();
    List<Job> jobs = json.readValue(System.getenv("JOBS"), new TypeRef<List<Job>>() {});
    List<Thread> all = new ArrayList<>();
    for (Job job : jobs) {
      Thread one =
          new Thread(
              () -> {
                try {
                  System.out.println(json.writeValueAsString(ended(job)));
                } catch (Exception error) {
                  throw new IllegalStateException(error);
                }
              });
      one.start();
      all.add(one);
    }
    for (Thread one : all) one.join();
  }
}

// An MCP server that is started as a program, and calls the upstream `payments` of the run.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';

const server = new McpServer({ name: 'local', version: '1.0.0' });
server.registerTool('call', { description: 'calls payments' }, async () => {
  const { REMIT_FORWARD_PAYMENTS: url, REMIT_TASK_ID: task, REGION: region } = process.env;
  const called = url === undefined ? {} : await (await fetch(`${url}/x`)).json();
  return { content: [{ type: 'text', text: JSON.stringify({ own: task, region, ...called }) }] };
});
await server.connect(new StdioServerTransport());

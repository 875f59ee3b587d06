import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { run } from './model.mjs';

const client = new Client({ name: 'assistant', version: '1.0.0' });
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.TOOLS_URL)));
await client.listTools();
const said = await run(async (name, args) => {
  const { content } = await client.callTool({ name, arguments: args });
  return content.map(({ text }) => text).join('\n');
});
console.log(said);
await client.close();

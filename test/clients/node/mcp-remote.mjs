import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { fileURLToPath } from 'node:url';
import { run } from './model.mjs';

const bridge = fileURLToPath(new URL('node_modules/mcp-remote/dist/proxy.js', import.meta.url));
const client = new Client({ name: 'assistant', version: '1.0.0' });
await client.connect(
  new StdioClientTransport({ command: process.execPath, args: [bridge, process.env.TOOLS_URL], env: process.env }),
);
await client.listTools();
const said = await run(async (name, args) => {
  const { content } = await client.callTool({ name, arguments: args });
  return content.map(({ text }) => text).join('\n');
});
console.log(said);
await client.close();

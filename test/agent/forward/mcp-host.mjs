// An MCP host: starts the server `local` of the file that REMIT_MCP_SERVERS names, as the SDK starts it, and prints what its tool says.
import { readFileSync } from 'node:fs';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const { mcpServers } = JSON.parse(readFileSync(process.env.REMIT_MCP_SERVERS, 'utf8'));
const client = new Client({ name: 'host', version: '1.0.0' });
await client.connect(new StdioClientTransport(mcpServers.local));
const { content } = await client.callTool({ name: 'call', arguments: {} });
console.log(content[0].text);
await client.close();

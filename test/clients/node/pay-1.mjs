import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

/** What the person answers to each question. */
const answers = [80, 1_000_000, 90];
const client = new Client({ name: 'assistant', version: '1.0.0' }, { capabilities: { elicitation: { form: {} } } });
client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { amount: answers.shift() } }));
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.TOOLS_URL)));
while (answers.length > 0) {
  const { content } = await client.callTool({ name: 'transfer', arguments: { amount: 1 } });
  console.log(content.map(({ text }) => text.replaceAll('\n', ' ')).join(' '));
}
await client.close();

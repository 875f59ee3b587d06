// Users of a service, each with a session of the TypeScript SDK 2.x at the URL of a task. USERS: [[url, task], …]; CALLS of each.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const users = JSON.parse(process.env.USERS);
const calls = Number(process.env.CALLS);
let [right, wrong] = [0, 0];
await Promise.all(
  users.map(async ([url, task]) => {
    const client = new Client({ name: 'service', version: '1.0.0' });
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    for (let call = 0; call < calls; call += 1) {
      const { content } = await client.callTool({ name: 'whoami', arguments: {} });
      // A fault of a loaded machine: no call reached the upstream.
      if (content[0].text.startsWith('Denied: ')) call -= 1;
      else if (content[0].text === task) right += 1;
      else wrong += 1;
    }
    await client.close();
  }),
);
console.log(JSON.stringify({ right, wrong }));

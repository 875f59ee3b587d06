import { randomUUID } from 'node:crypto';
import { Role } from '@a2a-js/sdk';
import { ClientFactory } from '@a2a-js/sdk/client';
import { run } from './model.mjs';

const agent = await new ClientFactory().createFromUrl(process.env.TOOLS_URL);

const messageOf = ({ words, kind }) => ({
  messageId: randomUUID(),
  contextId: '',
  taskId: '',
  role: Role.ROLE_USER,
  parts: [{ content: { $case: 'text', value: words }, filename: '', mediaType: 'text/plain' }],
  metadata: { kind },
  extensions: [],
  referenceTaskIds: [],
});

const said = await run(async (name, args) => {
  try {
    if (name === 'look_up') return `the task ${(await agent.getTask({ tenant: '', id: args.id })).id} is known`;
    const events = [];
    for await (const event of agent.sendMessageStream({ tenant: '', message: messageOf(args) })) events.push(event);
    return `${events.length} events`;
  } catch (error) {
    return error.message;
  }
});
console.log(said);

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AgentCard, type Message, Role, type Task, TaskState } from '@a2a-js/sdk';
import { LegacyJsonRpcTransportHandler } from '@a2a-js/sdk/compat/v0_3/server';
import {
  AgentEvent,
  type AgentExecutor,
  DefaultRequestHandler,
  InMemoryTaskStore,
  JsonRpcTransportHandler,
  ServerCallContext,
} from '@a2a-js/sdk/server';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';

/** An A2A agent made with the official SDK for versions 1 and 0.3, and what it received. */
export interface A2aTestServer {
  readonly address: HostPort;
  /** The text of each message that the agent received. */
  readonly heard: readonly string[];
  /** The method of each JSON-RPC call that it received. */
  readonly methods: readonly string[];
  /** The task of each, in the words of Remit. */
  readonly tasks: readonly string[];
  readonly close: () => Promise<void>;
}

/** The card of the agent at `url`, with an interface for each version. */
export const cardOf = (url: string): object =>
  AgentCard.toJSON(
    AgentCard.fromJSON({
      name: 'booker',
      description: 'books trips',
      version: '1.0.0',
      supportedInterfaces: ['1.0', '0.3'].map((protocolVersion) => ({
        url,
        protocolBinding: 'JSONRPC',
        protocolVersion,
      })),
      capabilities: { streaming: true },
      defaultInputModes: ['text/plain'],
      defaultOutputModes: ['text/plain'],
      skills: [],
    }),
  ) as object;

const text = ({ parts }: Message): string => (parts[0]?.content?.$case === 'text' ? parts[0].content.value : '');

/** Starts it on a free loopback port, at `/a2a`, with its card at the standard path, for callers that know it as `url`. */
export async function startA2aServer(url: string): Promise<A2aTestServer> {
  const heard: string[] = [];
  const methods: string[] = [];
  const tasks: string[] = [];
  const card = cardOf(url);
  const handler = new DefaultRequestHandler(AgentCard.fromJSON(card), new InMemoryTaskStore(), bookerThatTells(heard));
  const transports = {
    latest: new JsonRpcTransportHandler(handler),
    legacy: new LegacyJsonRpcTransportHandler(handler),
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const json = { 'content-type': 'application/json' };
    if (request.url === '/.well-known/agent-card.json')
      return void response.writeHead(200, json).end(JSON.stringify(card));
    const body = Buffer.concat(chunks).toString();
    methods.push(JSON.parse(body).method);
    tasks.push(String(request.headers['x-remit-task']));
    const version = request.headers['a2a-version'];
    const isLatest = typeof version === 'string' && version.startsWith('1');
    const context = new ServerCallContext({ requestedVersion: isLatest ? '1.0' : '0.3' });
    const result = await transports[isLatest ? 'latest' : 'legacy'].handle(body, context);
    if (!(Symbol.asyncIterator in result)) return void response.writeHead(200, json).end(JSON.stringify(result));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for await (const event of result) response.write(`data: ${JSON.stringify(event)}\n\n`);
    response.end();
  };
  const http = createServer((request, response) => void answer(request, response));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    address: { host: '127.0.0.1', port: address.port },
    heard,
    methods,
    tasks,
    close: async () => {
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
}

const taskOf = (id: string, contextId: string, state: TaskState): Task => ({
  id,
  contextId,
  status: { state, message: undefined, timestamp: undefined },
  artifacts: [],
  history: [],
  metadata: undefined,
});

/** Handles each message as the work of a task, which stays open until it is cancelled. */
function bookerThatTells(heard: string[]): AgentExecutor {
  const contexts = new Map<string, string>();
  return {
    execute: async ({ userMessage, taskId, contextId }, bus) => {
      heard.push(text(userMessage));
      contexts.set(taskId, contextId);
      bus.publish(AgentEvent.task(taskOf(taskId, contextId, TaskState.TASK_STATE_WORKING)));
      const status = { state: TaskState.TASK_STATE_INPUT_REQUIRED, message: undefined, timestamp: undefined };
      bus.publish(AgentEvent.statusUpdate({ taskId, contextId, status, metadata: undefined }));
      bus.finished();
    },
    cancelTask: async (taskId, bus) => {
      bus.publish(AgentEvent.task(taskOf(taskId, contexts.get(taskId) ?? '', TaskState.TASK_STATE_CANCELED)));
      bus.finished();
    },
  };
}

/** A message of a user. */
export const messageOf = (words: string, taskId = ''): Message => ({
  messageId: randomUUID(),
  contextId: '',
  taskId,
  role: Role.ROLE_USER,
  parts: [{ content: { $case: 'text', value: words }, metadata: undefined, filename: '', mediaType: 'text/plain' }],
  metadata: undefined,
  extensions: [],
  referenceTaskIds: [],
});

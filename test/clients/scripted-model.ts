import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A call that the model asks for. */
export interface ToolCall {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Awaited before the model asks for it: what happens meanwhile. */
  readonly before?: () => Promise<void>;
}

/** What the model got for a call that it asked for; null where the agent gave up before. */
export type Handed = string | null;

/**
 * A language model that wants certain calls, one after the other, and then says `done`: an HTTP server with the chat completions of OpenAI's API,
 * which each framework speaks.
 */
export interface ScriptedModel {
  /** What `OPENAI_BASE_URL` must be. */
  readonly url: string;
  /** Asks for these calls from now on, and returns what was handed back for each, at the time it is called. */
  readonly follow: (calls: readonly ToolCall[]) => () => readonly Handed[];
  readonly close: () => Promise<void>;
}

interface Message {
  readonly role: string;
  readonly content?: unknown;
  readonly tool_call_id?: string;
}

/** Starts it on a free loopback port. */
export async function startScriptedModel(): Promise<ScriptedModel> {
  let calls: readonly ToolCall[] = [];
  let handed: Handed[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const { messages } = JSON.parse(Buffer.concat(chunks).toString()) as { readonly messages: readonly Message[] };
    for (const { role, content, tool_call_id: id = '' } of messages)
      if (role === 'tool') handed[Number(id.slice('call-'.length))] = textIn(content);
    const next = messages.filter(({ role }) => role === 'assistant').length;
    const call = calls[next];
    await call?.before?.();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(completion(call, next)));
  };
  return {
    ...(await servedModel(answer)),
    follow: (wanted) => {
      const gets: Handed[] = wanted.map(() => null);
      [calls, handed] = [wanted, gets];
      return () => gets;
    },
  };
}

/** Serves a model on a free loopback port. */
export async function servedModel(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Pick<ScriptedModel, 'url' | 'close'>> {
  const http = createServer((request, response) => void answer(request, response));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    close: async () => {
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
}

/** The text of a message's content, which is text or a list of parts with text. */
export const textIn = (content: unknown): string =>
  Array.isArray(content)
    ? content.map((part: { readonly text?: string }) => part.text ?? '').join('\n')
    : String(content);

/** A chat completion of OpenAI's API, as far as agents read it. */
export interface Completion {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly model: string;
  readonly usage: Readonly<Record<string, number>>;
  readonly choices: readonly [
    {
      readonly index: number;
      readonly finish_reason: string;
      readonly message: {
        readonly role: string;
        readonly content: string | null;
        /** The call that is asked for. */
        readonly tool_calls?: readonly [
          {
            readonly id: string;
            readonly type: string;
            readonly function: { readonly name: string; readonly arguments: string };
          },
        ];
      };
    },
  ];
}

/** The completion that asks for a call, or says `done` without one. @param index of the turn of the model */
export const completion = (call: ToolCall | undefined, index: number): Completion => ({
  id: `completion-${index}`,
  object: 'chat.completion',
  created: 1,
  model: 'scripted',
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  choices: [
    {
      index: 0,
      finish_reason: call === undefined ? 'stop' : 'tool_calls',
      message:
        call === undefined
          ? { role: 'assistant', content: 'done' }
          : {
              role: 'assistant',
              content: null,
              tool_calls: [
                {
                  id: `call-${index}`,
                  type: 'function',
                  function: { name: call.tool, arguments: JSON.stringify(call.args) },
                },
              ],
            },
    },
  ],
});

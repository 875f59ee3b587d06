import type { IncomingMessage, ServerResponse } from 'node:http';
import { completion, type Handed, servedModel, textIn, type ToolCall } from '../scripted-model.ts';

/** A name of a job, as prompts have it. */
const JOB = /\bjob-[a-z]+(?:-[a-z]+)*\b/;

/** The tool by which smolagents ends a run. */
const FINAL = 'final_answer';

/**
 * A language model for several agents at once: an HTTP server with the chat completions of OpenAI's API, streamed or not. The first message that
 * names a job says whose turn it is; the model then asks for the calls of that job, one after the other, and says `done`.
 */
export interface JobModel {
  /** What `OPENAI_BASE_URL` must be. */
  readonly url: string;
  /** Asks for these calls of these jobs from now on, and returns what was handed back for each, at the time it is called. */
  readonly follow: (jobs: ReadonlyMap<string, readonly ToolCall[]>) => () => ReadonlyMap<string, readonly Handed[]>;
  readonly close: () => Promise<void>;
}

interface Message {
  readonly role: string;
  readonly content?: unknown;
}

interface Asked {
  readonly messages: readonly Message[];
  readonly tools?: readonly { readonly function: { readonly name: string } }[];
  readonly stream?: boolean;
}

/** Starts it on a free loopback port. */
export async function startJobModel(): Promise<JobModel> {
  let jobs: ReadonlyMap<string, readonly ToolCall[]> = new Map();
  let handed = new Map<string, Handed[]>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked;
    const job = asked.messages.flatMap(({ content }) => JOB.exec(textIn(content))?.[0] ?? [])[0] ?? '';
    const results = resultsIn(asked.messages);
    const gets = handed.get(job);
    for (const [index, text] of results.entries()) if (gets !== undefined && index < gets.length) gets[index] = text;
    const next = jobs.get(job)?.[results.length];
    const tools = (asked.tools ?? []).map((tool) => tool.function.name);
    const reply = completion(named(next, tools), results.length);
    response.writeHead(200, { 'content-type': asked.stream === true ? 'text/event-stream' : 'application/json' });
    response.end(asked.stream === true ? streamed(reply) : JSON.stringify(reply));
  };
  return {
    ...(await servedModel(answer)),
    follow: (wanted) => {
      const gets = new Map(Array.from(wanted, ([job, calls]) => [job, calls.map((): Handed => null)]));
      [jobs, handed] = [wanted, gets];
      return () => gets;
    },
  };
}

/** The text after each turn of the model: frameworks hand results over as messages of a tool, or of the user. */
function resultsIn(messages: readonly Message[]): readonly string[] {
  const results: string[] = [];
  let before = '';
  for (const { role, content } of messages) {
    if (role === 'assistant' && before !== 'assistant') results.push('');
    const last = results.length - 1;
    if (role !== 'assistant' && last >= 0) results[last] = `${results[last]}${textIn(content)}`;
    before = role;
  }
  return results;
}

/** A call with the name that the framework gives the tool: some put the name of the server before it. */
function named(call: ToolCall | undefined, tools: readonly string[]): ToolCall | undefined {
  if (call === undefined) return tools.includes(FINAL) ? { tool: FINAL, args: { answer: 'done' } } : undefined;
  return { ...call, tool: tools.find((name) => name.endsWith(call.tool)) ?? call.tool };
}

/** A completion as server-sent events: one chunk with all of it, one with its end. */
function streamed({ choices: [choice], ...head }: ReturnType<typeof completion>): string {
  const { tool_calls: calls, ...message } = choice.message;
  // Its only call.
  const delta = calls === undefined ? message : { ...message, tool_calls: [{ index: 0, ...calls[0] }] };
  const chunk = { ...head, object: 'chat.completion.chunk' };
  const chunks = [
    { ...chunk, choices: [{ index: 0, delta, finish_reason: null }] },
    { ...chunk, choices: [{ index: 0, delta: {}, finish_reason: choice.finish_reason }] },
  ];
  return [...chunks.map((one) => JSON.stringify(one)), '[DONE]'].map((data) => `data: ${data}\n\n`).join('');
}

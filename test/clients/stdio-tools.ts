import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { isObject } from '../../src/core/runtime/fields.ts';
import type { Problem } from '../../src/core/runtime/problem.ts';

/** An MCP server that speaks over its standard input and output. */
export interface StdioServer {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** A tool as a server lists it. */
export type ListedTool = Readonly<Record<string, unknown>> & { readonly name: string };

const WITHIN_MS = 60_000;

/** Starts a server, opens a session by a revision, and gives all tools of all pages as they come over the wire. */
export function listedOver(
  { command, args, env, cwd }: StdioServer,
  revision: string,
): Promise<readonly ListedTool[] | Problem> {
  const child = spawn(command, [...args], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', HOME: cwd, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { promise, resolve } = Promise.withResolvers<readonly ListedTool[] | Problem>();
  const tools: ListedTool[] = [];
  let said = '';
  const over = (outcome: readonly ListedTool[] | Problem): void => {
    clearTimeout(timer);
    child.kill('SIGKILL');
    resolve(outcome);
  };
  const timer = setTimeout(
    () => over({ problem: `${command} did not list within 60 s: ${said.slice(-300)}` }),
    WITHIN_MS,
  );
  const send = (message: object): void => void child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const list = (id: number, cursor?: unknown): void =>
    send({ id, method: 'tools/list', params: cursor === undefined ? {} : { cursor } });
  child.stdin.on('error', () => undefined);
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child
    .once('error', (error) => over({ problem: error.message }))
    .once('exit', (code) => over({ problem: `${command} ended with ${code}: ${said.slice(-300)}` }));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = messageIn(line);
    const { id, method, result } = message ?? {};
    if (message === null || id === undefined) return;
    // A question of the server, such as for the folders of the client.
    if (method !== undefined) return send({ id, result: { roots: [] } });
    if (id === 0) {
      send({ method: 'notifications/initialized' });
      return list(1);
    }
    if (!isObject(result) || !Array.isArray(result['tools']))
      return over({ problem: `${command}: ${line.slice(0, 300)}` });
    tools.push(...result['tools'].filter(isTool));
    return typeof result['nextCursor'] === 'string' ? list(Number(id) + 1, result['nextCursor']) : over(tools);
  });
  const params = { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'pins', version: '1' } };
  send({ id: 0, method: 'initialize', params });
  return promise;
}

const isTool = (value: unknown): value is ListedTool => isObject(value) && typeof value['name'] === 'string';

function messageIn(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const message: unknown = JSON.parse(line);
    return isObject(message) ? message : null;
  } catch {
    return null;
  }
}

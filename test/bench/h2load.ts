import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Run } from './load.ts';
import type { Stage } from './stage.ts';
import { latencyOf } from './statistics.ts';

/** Load on a socket. */
export interface H2loadOptions {
  readonly socket: string;
  readonly seconds: number;
  /** One encoded CheckRequest. */
  readonly message: Buffer;
  /** Concurrent checks. Default 16. */
  readonly underWay?: number;
  /** Checks per second that are due, as far as no more are under way. Default: the next one at each answer. */
  readonly ratePerSecond?: number;
}

/** As many checks as Remit accepts concurrently by default. */
export const AT_CAPACITY = 256;
/** Streams on one connection, as from one Envoy worker. */
const STREAMS = 256;

let loads = 0;

/** Repeats the same check directly at the socket, as one or more Envoy workers would. */
export async function h2load(stage: Stage, options: H2loadOptions): Promise<Run> {
  const { socket, seconds, message, underWay = 16, ratePerSecond } = options;
  const connections = Math.ceil(underWay / STREAMS);
  const name = join(stage.folder, `h2load-${(loads += 1)}`);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  await writeFile(`${name}.body`, Buffer.concat([prefix, message]));
  const headers = ['content-type: application/grpc', 'te: trailers', 'grpc-timeout: 500m'];
  await promisify(execFile)(
    'h2load',
    [
      '-t1',
      `-c${connections}`,
      `-m${Math.ceil(underWay / connections)}`,
      `-D${seconds}`,
      ...(ratePerSecond === undefined ? [] : [`--rps=${Math.ceil(ratePerSecond / connections)}`]),
      `--log-file=${name}.log`,
      `--data=${name}.body`,
      ...headers.flatMap((header) => ['-H', header]),
      '-B',
      `unix:${socket}`,
      'http://remit/envoy.service.auth.v3.Authorization/Check',
    ],
    { signal: stage.signal },
  );
  const lines = (await readFile(`${name}.log`, 'utf8')).trimEnd().split('\n');
  await rm(`${name}.log`);
  const rows = lines.map((line) => line.split('\t'));
  return {
    requests: rows.length,
    requestsPerSecond: rows.length / seconds,
    failed: rows.filter(([, status]) => status !== '200').length,
    cpuUs: null,
    ...latencyOf(rows.map(([, , microseconds]) => Number(microseconds) / 1000)),
  };
}

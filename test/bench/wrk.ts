import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { headersOf } from './load.ts';
import type { Load, Run } from './load.ts';
import type { Stage } from './stage.ts';

/** Duration and number of connections. */
export interface WrkOptions {
  readonly port: number;
  readonly seconds: number;
  /** Default 16. */
  readonly connections?: number;
}

/** Prepares every request before the first is sent, so that only sending is measured. */
const script = (callsFile: string, headersFile: string, bodyFile: string | null, method: string): string => `
local requests, sent = {}, 0
function init(args)
  for line in io.lines(${JSON.stringify(headersFile)}) do
    local name, value = line:match('^([^\\t]+)\\t(.*)$')
    wrk.headers[name] = value
  end
  ${bodyFile === null ? '' : `local file = io.open(${JSON.stringify(bodyFile)}, 'rb'); wrk.body = file:read('*a'); file:close()`}
  for line in io.lines(${JSON.stringify(callsFile)}) do
    local path, authorization = line:match('^([^\\t]+)\\t(.*)$')
    wrk.headers['authorization'] = authorization
    requests[#requests + 1] = wrk.format(${JSON.stringify(method)}, path)
  end
end
function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end
function done(summary, latency, rates)
  local errors = summary.errors
  io.write(string.format('\\n{"requests":%d,"durationUs":%d,"failed":%d,"p50Us":%d,"p99Us":%d,"p999Us":%d}\\n',
    summary.requests, summary.duration, errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
`;

/** The output of the script at the end. */
interface Printed {
  readonly requests: number;
  readonly durationUs: number;
  readonly failed: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

let runs = 0;

/** One closed loop: each connection sends its next call when the last one is answered. So latency has no queueing. */
export async function wrk(stage: Stage, load: Load, { port, seconds, connections = 16 }: WrkOptions): Promise<Run> {
  const name = join(stage.folder, `wrk-${(runs += 1)}`);
  const { authorization: _, ...common } = headersOf(load, { path: '', token: '' });
  await writeFile(`${name}.calls`, load.calls.map(({ path, token }) => `${path}\tBearer ${token}\n`).join(''));
  await writeFile(
    `${name}.headers`,
    Object.entries(common)
      .map((pair) => `${pair.join('\t')}\n`)
      .join(''),
  );
  if (load.body !== undefined) await writeFile(`${name}.body`, load.body);
  const bodyFile = load.body === undefined ? null : `${name}.body`;
  await writeFile(`${name}.lua`, script(`${name}.calls`, `${name}.headers`, bodyFile, load.method));
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', `${name}.lua`, `http://127.0.0.1:${port}/`];
  const { stdout } = await promisify(execFile)('wrk', args, { signal: stage.signal });
  const printed = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Printed;
  return {
    requests: printed.requests,
    requestsPerSecond: (printed.requests - printed.failed) / (printed.durationUs / 1e6),
    failed: printed.failed,
    cpuUs: null,
    p50Ms: printed.p50Us / 1000,
    p99Ms: printed.p99Us / 1000,
    p999Ms: printed.p999Us / 1000,
  };
}

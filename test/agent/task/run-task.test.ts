import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { freePort } from '../../free-port.ts';
import {
  claimsOf,
  comesTrue,
  type RunDomain,
  remitProgram,
  type Started,
  startCommand,
  startRunDomain,
} from '../run/domain.ts';

const folder = testFolders(() => domain.close());
let domain: RunDomain;
beforeAll(async () => {
  domain = await startRunDomain(folder(), { tokenSeconds: 10 });
});

interface Asked {
  readonly words?: readonly string[];
  readonly environment?: Record<string, string>;
  readonly input?: string;
}

const run = (command: readonly string[], { words = [], ...rest }: Asked = {}): Started =>
  startCommand(['run', '--intent', domain.intent, ...domain.options, ...words, '--', ...command], rest);
const sh = (script: string, asked?: Asked): Started => run(['sh', '-c', script], asked);
const python = (script: string, asked?: Asked): Started => run(['python3', '-u', '-c', script], asked);

const taskIn = (text: string): string => /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(text)?.[0] ?? '';

/** An agent in Python that uses only the standard library and the two variables. */
const AGENT = `
import json, os, time, urllib.request
def token():
    ask = urllib.request.Request(os.environ['REMIT_TOKEN_URL'])
    ask.add_header('Authorization', 'Bearer ' + os.environ['REMIT_TOKEN_URL_AUTH'])
    with urllib.request.urlopen(ask) as answer:
        return json.load(answer)
`;

/** Prints the name of each signal it gets, and exits with 40 plus their number. */
const CATCHER = `
import os, signal, sys, time
seen = []
def heard(number, frame):
    seen.append(signal.Signals(number).name)
    print('heard', seen[-1])
for name in ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'):
    signal.signal(getattr(signal, name), heard)
print('ready', os.environ['REMIT_TASK_ID'], os.getpid())
end = time.time() + 90
while not seen and time.time() < end: time.sleep(0.05)
time.sleep(0.3)
sys.exit(40 + len(seen))
`;

describe('remit run: the end of the command', () => {
  it.each([
    ['completes on 0', 'exit 0', 0, 'completed'],
    ['cancels on 1', 'exit 1', 1, 'cancelled'],
    ['cancels on 255', 'exit 255', 255, 'cancelled'],
    ['cancels on a signal, and exits with 128 plus its number', 'kill -9 $$', 137, 'cancelled'],
  ])('%s', async (_name, script, code, state) => {
    const ended = await sh(script).ended;
    expect([ended.code, ended.signal, domain.stateOf(taskIn(ended.err))]).toEqual([code, null, state]);
    expect(ended.err).toMatch(new RegExp(`^remit run: task ${taskIn(ended.err)} is ${state}$`, 'm'));
  });

  it.each([
    ['there is no such command', '/nowhere/agent', 127, '`/nowhere/agent` cannot be started: no such command'],
    ['the command cannot be run', import.meta.dirname, 126, 'cannot be started: EACCES'],
  ])('cancels if %s', async (_name, command, code, message) => {
    const ended = await run([command]).ended;
    expect([ended.code, domain.stateOf(taskIn(ended.err))]).toEqual([code, 'cancelled']);
    expect(ended.err).toContain(message);
  });

  it('passes stdin, stdout and stderr through unchanged', async () => {
    const ended = await sh('cat; echo talk >&2', { input: 'line 1\n\0line 2' }).ended;
    expect(ended.out).toBe('line 1\n\0line 2');
    expect(ended.err).toMatch(/^talk$/m);
  });

  it('passes arguments unchanged, even options that look like its own', async () => {
    const ended = await run(['printf', '%s|', '--env', '--help', 'a b', '$HOME']).ended;
    expect(ended.out).toBe('--env|--help|a b|$HOME|');
  });
});

describe('remit run: signals', () => {
  it('passes each signal on once', async () => {
    const signals = ['SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGTERM', 'SIGHUP'] as const;
    const seen = await Promise.all(
      signals.map(async (signal) => {
        const started = python(CATCHER);
        const [, id = ''] = await started.said(/ready (\S+)/);
        started.process.kill(signal);
        const { code, out } = await started.ended;
        return [code, out.match(/heard \w+/g), domain.stateOf(id)];
      }),
    );
    expect(seen).toEqual(signals.map((signal) => [41, [`heard ${signal}`], 'cancelled']));
  });

  it('cancels on SIGTERM although the command then exits with 0', async () => {
    const started = sh('trap "exit 0" TERM; echo ready $REMIT_TASK_ID; while :; do sleep 0.1; done');
    const [, id = ''] = await started.said(/ready (\S+)/);
    started.process.kill('SIGTERM');
    expect([(await started.ended).code, domain.stateOf(id)]).toEqual([0, 'cancelled']);
  });

  it('completes after a SIGINT that the command handled', async () => {
    const started = sh('trap "exit 0" INT; echo ready $REMIT_TASK_ID; while :; do sleep 0.1; done');
    const [, id = ''] = await started.said(/ready (\S+)/);
    started.process.kill('SIGINT');
    expect([(await started.ended).code, domain.stateOf(id)]).toEqual([0, 'completed']);
  });

  it('leaves Ctrl-C to the terminal: the command gets it once and decides', async () => {
    const words = ['run', '--intent', domain.intent, ...domain.options, '--', 'python3', '-u', '-c', CATCHER];
    const terminal = `
import json, os, pty, re, sys
pid, fd = pty.fork()
words = json.loads(sys.argv[1])
if pid == 0: os.execv(words[0], words)
seen = ''
sent = False
while True:
    try: chunk = os.read(fd, 4096)
    except OSError: break
    if not chunk: break
    seen += chunk.decode()
    if not sent and 'ready' in seen:
        sent = True
        os.write(fd, b'\\x03')
print(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
    const child = spawn('python3', ['-c', terminal, JSON.stringify([...remitProgram, ...words])], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const code = await new Promise((resolve) => void child.once('close', resolve));
    expect([code, out.match(/heard \w+/g)]).toEqual([41, ['heard SIGINT']]);
    expect(domain.stateOf(taskIn(out))).toBe('cancelled');
  });
});

describe('remit run: killed', () => {
  it('has its watcher cancel the task, end the command and remove the token file, within seconds', async () => {
    const at = folder();
    const file = join(at, 'token');
    const mark = join(at, 'mark');
    // The watcher learns of the command just after its start, so `ready` waits for that.
    const script = `trap 'echo ended > ${mark}; exit 0' TERM; sleep 0.5; echo ready $REMIT_TASK_ID; while :; do sleep 0.05; done`;
    const started = sh(script, { words: ['--token-file', file] });
    const [, id = ''] = await started.said(/ready (\S+)/);
    expect([domain.stateOf(id), existsSync(file)]).toEqual(['active', true]);
    started.process.kill('SIGKILL');
    expect((await started.ended).signal).toBe('SIGKILL');
    expect(await comesTrue(() => domain.stateOf(id) === 'cancelled')).toBe(true);
    expect(await comesTrue(() => existsSync(mark))).toBe(true);
    expect(await comesTrue(() => !existsSync(file))).toBe(true);
  });
});

describe('remit run: the environment of the command', () => {
  const secrets = {
    AWS_SECRET_ACCESS_KEY: 'hidden-1',
    OPENAI_API_KEY: 'hidden-2',
    GITHUB_TOKEN: 'hidden-3',
    DB_PASSWORD: 'hidden-4',
    REMIT_TOKEN: 'hidden-5',
  };
  const show = `tr '\\0' '\\n' < /proc/$$/environ`;

  it('has no secret and no token, but the variables to get one', async () => {
    const { out, err } = await sh(show, { environment: { ...secrets, HOME: '/home/x', TRACESTATE: 'a=1' } }).ended;
    const names = out.split('\n').map((line) => line.split('=')[0]);
    expect(names).toEqual(
      expect.arrayContaining([
        'PATH',
        'HOME',
        'REMIT_TASK_ID',
        'REMIT_TOKEN_URL',
        'REMIT_TOKEN_URL_AUTH',
        'TRACEPARENT',
      ]),
    );
    expect(out).not.toMatch(/hidden|eyJ|TRACESTATE/);
    expect(/REMIT_TOKEN_URL_AUTH=(.*)/.exec(out)?.[1]).toHaveLength(43);
    expect(err).toContain(
      'not passed on: AWS_SECRET_ACCESS_KEY, DB_PASSWORD, GITHUB_TOKEN, OPENAI_API_KEY (--keep NAME passes one on)',
    );
    expect(err).not.toContain('hidden');
    const { issuance } = domain.task(taskIn(err)) ?? {};
    expect(out).toContain(`TRACEPARENT=00-${issuance?.traceId}-${issuance?.spanId}-01`);
  });

  it("sends its caller's trace context to the issuer", async () => {
    const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await sh('true', { environment: { TRACEPARENT } }).ended;
    expect(domain.spans.filter(({ parent }) => parent === TRACEPARENT)).toMatchObject([{ name: 'token.issue' }]);
  });

  it('keeps what --keep names, and with --scrub=off everything but the variables of an outer run', async () => {
    const kept = await sh(show, { environment: secrets, words: ['--keep', 'OPENAI_API_KEY', '--keep', 'DB_PASSWORD'] })
      .ended;
    expect(kept.out.match(/hidden-\d/g)).toEqual(['hidden-2', 'hidden-4']);
    const off = await sh(show, { environment: secrets, words: ['--scrub=off'] }).ended;
    expect(off.out.match(/hidden-\d/g)?.toSorted()).toEqual(['hidden-1', 'hidden-2', 'hidden-3', 'hidden-4']);
  });

  it('has the token itself only with --env, with a warning', async () => {
    const { out, err } = await sh('echo $REMIT_TOKEN', { words: ['--env'] }).ended;
    expect(claimsOf(out)['txn']).toBe(taskIn(err));
    expect(err).toContain('warning: REMIT_TOKEN is not renewed');
  });
});

describe('remit run: tokens while the command runs', () => {
  it('renews them before they expire: at the endpoint, for an agent in Python, and in the file, atomically', async () => {
    const file = join(folder(), 'token');
    const renewing = python(`${AGENT}
first = token()
print(first['token_type'], first['expires_in'], first['access_token'])
end = time.time() + 90
while token()['access_token'] == first['access_token'] and time.time() < end: time.sleep(0.2)
print(token()['access_token'])
`);
    const rereading = python(
      `
import os, time
path = os.environ['REMIT_TOKEN_FILE']
read = lambda: open(path).read()
first, file = read(), os.stat(path).st_ino
end = time.time() + 90
seen = set([first])
while len(seen) < 2 and time.time() < end:
    seen.add(read())
    time.sleep(0.002)
# A file that is written anew in place keeps its number, and shows half of a token for a moment.
print(oct(os.stat(path).st_mode & 0o777), os.stat(path).st_ino != file, *[len(t.split('.')) for t in seen])
`,
      { words: ['--token-file', file] },
    );
    const [asked, reread] = await Promise.all([renewing.ended, rereading.ended]);
    const [type, expiresIn, first = '', second = ''] = asked.out.trim().split(/\s/);
    expect([asked.code, type]).toEqual([0, 'Bearer']);
    expect(Number(expiresIn)).toBeGreaterThan(0);
    const [one, two] = [claimsOf(first), claimsOf(second)];
    const id = taskIn(asked.err);
    expect([one['txn'], two['txn'], two['cnf']]).toEqual([id, id, one['cnf']]);
    expect(two['jti']).not.toBe(one['jti']);
    expect(Number(two['exp'])).toBeGreaterThan(Number(one['exp']));
    expect(Number(two['iat'])).toBeLessThan(Number(one['exp']));
    expect(reread.out).toBe('0o600 True 3 3\n');
    expect([existsSync(file), domain.stateOf(taskIn(reread.err))]).toEqual([false, 'completed']);
  });

  it('binds them to the new SVID when it is renewed', async () => {
    const script = `${AGENT}
import base64
cnf = lambda compact: json.loads(base64.urlsafe_b64decode(compact.split('.')[1] + '=='))['cnf']
first = token()['access_token']
print('first', first)
end = time.time() + 90
while cnf(token()['access_token']) == cnf(first) and time.time() < end: time.sleep(0.1)
print('second', token()['access_token'])
`;
    const started = python(script);
    const [, first = ''] = await started.said(/first (\S+)\n/);
    const { certPem } = await domain.rotate();
    const { out } = await started.ended;
    const second = claimsOf(/second (\S+)/.exec(out)?.[1] ?? '');
    const thumbprint = createHash('sha256').update(new X509Certificate(certPem).raw).digest('base64url');
    expect(claimsOf(first)['cnf']).not.toEqual({ 'x5t#S256': thumbprint });
    expect([second['cnf'], second['txn']]).toEqual([{ 'x5t#S256': thumbprint }, claimsOf(first)['txn']]);
  });
});

// Issue 39, point 4: it ended at once where the proxy of its pod started later.
describe('remit run: an issuer that is reached later', () => {
  // The Envoy of a mesh takes connections to a service that has no endpoint yet, and ends them.
  it.each<[string, ((socket: Socket) => void) | null]>([
    ['nobody listens there', null],
    ['connections are reset there', (socket) => void socket.resetAndDestroy()],
    ['connections are ended there once it has begun', (socket) => void socket.once('data', () => socket.destroy())],
  ])('waits while %s, and says so', async (_what, atFirst) => {
    const issuerPort = Number(new URL(domain.options[domain.options.indexOf('--issuer') + 1] ?? '').port);
    const port = await freePort();
    let isThere = false;
    const proxy = createServer((socket) => {
      socket.on('error', () => undefined);
      if (!isThere) return atFirst?.(socket);
      const upstream = connect(issuerPort, 'localhost').on('error', () => undefined);
      return socket.pipe(upstream).pipe(socket);
    });
    if (atFirst !== null) await once(proxy.listen(port, 'localhost'), 'listening');
    const started = sh('echo ran', { words: ['--issuer', `https://localhost:${port}`] });
    await comesTrue(() => started.err().includes('waiting for the issuer, at most 30 s (--wait): no answer from'));
    isThere = true;
    if (atFirst === null) proxy.listen(port, 'localhost');
    try {
      const { code, out } = await started.ended;
      expect([code, out]).toEqual([0, 'ran\n']);
      expect(domain.task(taskIn(started.err()))?.state).toBe('completed');
    } finally {
      proxy.close();
    }
  });

  it('ends at Ctrl-C while it waits', async () => {
    const started = sh('echo ran', { words: ['--issuer', 'https://localhost:1'] });
    await comesTrue(() => started.err().includes('waiting for the issuer'));
    started.process.kill('SIGINT');
    const { code, out } = await started.ended;
    expect([code, out]).toEqual([130, '']);
  });
});

/** The path of an invalid intent. */
const broken = (): string => {
  const file = join(folder(), 'intent.yaml');
  writeFileSync(file, 'purpose: x\naccess:\n  - resource: https://payments.acme.test\n    actions: []\n');
  return file;
};

describe('remit run: refusals before the command starts', () => {
  const refusals: readonly [string, string[], Record<string, string>, number, string][] = [
    ['inside another run', [], { REMIT_TASK_ID: '0198c0de-0000-7000-8000-000000000001' }, 2, 'already inside the task'],
    ['--child', ['--child'], {}, 2, '--child is not supported yet'],
    ['--env and --token-file', ['--env', '--token-file', '/tmp/x'], {}, 2, '--env and --token-file exclude each other'],
    ['an unknown option', ['--scrubs'], {}, 2, "Unknown option '--scrubs'"],
    ['--scrub=all', ['--scrub=all'], {}, 2, '--scrub must be `default` or `off`'],
    ['a --ttl of 0', ['--ttl', '0'], {}, 2, '--ttl must be a duration'],
    ['a resource missing from the intent', ['--resource', 'https://x.test'], {}, 2, 'does not name the resource'],
    ['an issuer over http', ['--issuer', 'http://localhost:1'], {}, 2, 'must be an https: URL'],
    ['a --wait of nothing', ['--wait', ''], {}, 2, '--wait must be 0 or a duration'],
    ['an unreachable issuer', ['--issuer', 'https://localhost:1', '--wait', '0'], {}, 1, 'unreachable: no answer from'],
    [
      'an issuer that stays unreachable',
      ['--issuer', 'https://localhost:1', '--wait', '1s'],
      {},
      1,
      'waiting for the issuer, at most 1 s',
    ],
    ['another issuer than named', ['--issuer-id', 'spiffe://acme.test/x'], {}, 1, 'expected `spiffe://acme.test/x`'],
    ['no SVID', ['--svid-cert', '/nowhere.pem'], {}, 1, 'svid: '],
    [
      'a key of another certificate',
      ['--svid-key', 'reporter.key'],
      {},
      1,
      'the key does not belong to the certificate',
    ],
  ];

  it('names the problem, and does not start the command', async () => {
    const seen = await Promise.all(
      refusals.map(async ([name, words, environment, , message]) => {
        const at = words.map((word) => (word === 'reporter.key' ? join(domain.folder, word) : word));
        const { code, out, err } = await sh('echo ran', { words: at, environment }).ended;
        return [name, code, out, err.includes(message) ? message : err, /BEGIN|eyJ/.test(err)];
      }),
    );
    expect(seen).toEqual(refusals.map(([name, , , code, message]) => [name, code, '', message, false]));
  });

  it('checks the host of the issuer if no SPIFFE ID is named', async () => {
    const options = domain.options.filter((word) => word !== '--issuer-id' && !word.startsWith('spiffe:'));
    const { code, err } = await startCommand(['run', '--intent', domain.intent, ...options, '--', 'true']).ended;
    expect([code, err]).toEqual([1, expect.stringContaining("Host: localhost. is not in the cert's altnames")]);
  });

  it('shows line and column in an invalid intent', async () => {
    const file = broken();
    const words = ['run', '--intent', file, ...domain.options, '--', 'true'];
    const { code, err } = await startCommand(words).ended;
    expect([code, err]).toEqual([
      2,
      expect.stringContaining(`${file}:4:14: \`actions\` must be an array of 1 to 64 entries`),
    ]);
    expect(err).toContain('  4 |     actions: []');
  });

  it('shows the OAuth error of the issuer and what to do', async () => {
    const file = join(folder(), 'intent.yaml');
    writeFileSync(
      file,
      'purpose: x\naccess:\n  - resource: https://payments.acme.test\n    actions: [payments.burn]\n',
    );
    const { code, err } = await startCommand(['run', '--intent', file, ...domain.options, '--', 'true']).ended;
    expect(code).toBe(1);
    expect(err).toContain('remit run: invalid_authorization_details: the resource has no action payments.burn');
    expect(err).toContain('remit run: to do: ask for less');
  });

  it('requires a command after --', async () => {
    const { code, err } = await startCommand(['run', '--intent', domain.intent, ...domain.options, 'true']).ended;
    expect([code, err]).toEqual([2, expect.stringContaining('the command comes after `--`')]);
  });
});

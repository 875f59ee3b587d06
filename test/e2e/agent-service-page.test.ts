import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { blockOf, linesForTasks, servicePage } from '../clients/service-page.ts';
import { freePort } from '../free-port.ts';
import { clientPackages } from '../parts/clients.ts';
import { goClients, goClientSource } from '../parts/go-client.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { startDomain } from './domain.ts';
import { remit } from './process.ts';

/** The services of the page: language and words of their block, as the table of the page calls them. */
const SERVICES: readonly (readonly [title: string, language: string, words: string])[] = [
  ['Python, standard library', 'python', 'BaseHTTPRequestHandler'],
  ['TypeScript, Node.js alone', 'ts', 'createServer'],
  ['FastAPI', 'python', 'FastAPI'],
  ['Express', 'js', 'express'],
  ['Go', 'go', 'mcp.NewClient'],
];

// Issue 44, point 8.
describe('the page of services', () => {
  it.each(SERVICES)('counts the lines of %s', (title, language, words) => {
    const count = linesForTasks(blockOf(language, words)).length;
    expect(count).toBe(5);
    expect(servicePage).toContain(`\n| ${title} | ${count} | `);
  });

  it('names the versions that its services are run with', async () => {
    const { devDependencies } = JSON.parse(await readFile(resolve(import.meta.dirname, '../../package.json'), 'utf8'));
    const { called, version } = goClients['mcp-go-sdk'];
    const names = ['express', '@modelcontextprotocol/sdk'].map((name) => `${name} ${devDependencies[name]}`);
    const pins = clientPackages.fastapi.packages.map((pin) => pin.replace('==', ' '));
    const missing = [...names, ...pins, `${called} ${version}`].filter((one) => !servicePage.includes(one));
    expect(missing).toEqual([]);
  });

  it('has the program in Go that is built', async () => {
    const [, ...lines] = (await readFile(goClientSource('mcp-go-sdk'), 'utf8')).split('\n');
    expect(lines.join('\n')).toBe(blockOf('go'));
  });
});

describeWith(envoyPart(), 'the services of the page without tools', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  const at = (name: string): string => join(scratch.folder, name);
  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
    await mkdir(at('intents'));
    await writeFile(at('intents/look.yaml'), blockOf('yaml', 'look.yaml'));
  });

  it.each([
    ['Python', 'python', 'service.py', ['python3']],
    ['TypeScript', 'ts', 'service.ts', [process.execPath, '--no-warnings']],
  ])('in %s give each request a task of its own', async (_name, language, file, program) => {
    await writeFile(at(file), blockOf(language));
    const port = await freePort();
    const { envoyPort, issuerPort } = domain.stage;
    const running = remit(
      [
        'run',
        '--tasks',
        '--intents',
        at('intents'),
        '--forward',
        `payments=https://payments.acme.test,connect=127.0.0.1:${envoyPort}`,
        '--issuer',
        `https://localhost:${issuerPort}`,
        '--bundle',
        at('bundle.pem'),
        '--svid-cert',
        at('planner.pem'),
        '--svid-key',
        at('planner.key'),
        '--',
        ...program,
        at(file),
      ],
      { PORT: String(port) },
    );
    const asked = (): Promise<string | false> =>
      fetch(`http://127.0.0.1:${port}/v1/payments/p-1`).then(
        // A check that was too late on a loaded machine is a denial, which the services pass on as their answer.
        async (answer) => {
          const text = await answer.text();
          return answer.ok && text.includes('"id"') && text;
        },
        () => false as const,
      );
    const answers = await Promise.all([1, 2, 3].map(() => until(asked)));
    expect(answers.map((answer) => (JSON.parse(answer) as { id: string }).id)).toEqual(['p-1', 'p-1', 'p-1']);
    running.child.kill('SIGTERM');
    await running.exit;
    expect(running.err()).not.toMatch(/remit_/);
  });
});

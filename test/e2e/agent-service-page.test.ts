import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { freePort } from '../free-port.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { scratchFolder, startDomain } from './domain.ts';
import { remit } from './process.ts';

const page = await readFile(resolve(import.meta.dirname, '../../deploy/guide/start/agent-service.md'), 'utf8');
/** The first block of the page in a language. */
const blockOf = (language: string): string =>
  new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'm').exec(page)?.[1] ?? '';

/** The lines from the declaration to the end of the task, without brackets alone. */
const linesForRemit = (program: string): number => {
  const lines = program.split('\n').map((line) => line.trim());
  const from = lines.findIndex((line) => line.includes('REMIT_TASKS'));
  const to = lines.findIndex((line) => line.includes('DELETE'));
  return lines.slice(from, to + 1).length;
};

// Issue 44, point 8.
describeWith(envoyPart(), 'the services of the page', (envoy) => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let domain: DevDomain;
  const at = (name: string): string => join(scratch.folder, name);
  beforeAll(async () => {
    scratch = await scratchFolder('remit-service-');
    domain = await startDomain(envoy, { folder: scratch.folder });
    await mkdir(at('intents'));
    await writeFile(at('intents/look.yaml'), blockOf('yaml'));
  });
  afterAll(async () => {
    await domain?.stop();
    await scratch?.remove();
  });

  it.each([
    ['Python', 'python', 'service.py', ['python3']],
    ['TypeScript', 'ts', 'service.ts', [process.execPath, '--no-warnings']],
  ])('in %s need five lines, and give each request a task of its own', async (_name, language, file, program) => {
    const text = blockOf(language);
    expect(linesForRemit(text)).toBe(5);
    await writeFile(at(file), text);
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
        async (answer) => answer.ok && answer.text(),
        () => false as const,
      );
    const answers = await Promise.all([1, 2, 3].map(() => until(asked)));
    expect(answers.map((answer) => (JSON.parse(answer) as { id: string }).id)).toEqual(['p-1', 'p-1', 'p-1']);
    running.child.kill('SIGTERM');
    await running.exit;
    expect(running.err()).not.toMatch(/remit_/);
  });
});

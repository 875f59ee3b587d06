import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { remit, type Running } from '../e2e/process.ts';
import { freePort } from '../free-port.ts';
import { both, clientPart, describeWith, envoyPart, goClientPart, type Part } from '../parts.ts';
import { until } from '../until.ts';
import { blockOf } from './service-page.ts';
import { startedOnce } from './started-once.ts';
import { startToolsDomain, type ToolsDomain } from './tools-domain.ts';

interface Service {
  /** What it needs beside Envoy; null for packages that the project has itself. */
  readonly part: Part<string> | null;
  /** Its command. @param at what was found of its part @param folder an empty folder */
  readonly command: (at: string, folder: string) => Promise<readonly string[]>;
  /** Further variables of it. */
  readonly variables?: (at: string) => Readonly<Record<string, string>>;
}

/** Services of the page with tools of MCP, by their framework. */
const SERVICES: Readonly<Record<string, Service>> = {
  FastAPI: {
    part: clientPart('fastapi'),
    command: async (_at, folder) => {
      const file = join(folder, 'service.py');
      await writeFile(file, blockOf('python', 'FastAPI'));
      return ['python3', file];
    },
    variables: (at) => ({ PYTHONPATH: at }),
  },
  Express: {
    part: null,
    command: async (_at, folder) => {
      const file = join(folder, 'service.mjs');
      await writeFile(file, blockOf('js', 'express'));
      // Node looks for packages in the folders above a program.
      await symlink(resolve(import.meta.dirname, '../../node_modules'), join(folder, 'node_modules'));
      return [process.execPath, file];
    },
  },
  Go: { part: goClientPart('mcp-go-sdk'), command: async (at) => [at] },
};

/** A loaded machine takes a minute to import a framework. */
const SHOWN_WITHIN_MS = 170_000;
const TEST_MS = 300_000;

const started = startedOnce((envoy) => startToolsDomain(envoy));

/** A user's request of a service; tried again while the service starts, or the issuer of a loaded machine has no time. */
const shown = (port: number, name: string): Promise<string> =>
  until(
    async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/files/${name}`).catch(() => null);
      return answer?.ok === true && answer.text();
    },
    { what: `the service shows ${name}`, withinMs: SHOWN_WITHIN_MS },
  );

// Issue 44, point 8.
describe.each(Object.entries(SERVICES))(
  'a service with %s, as the page has it',
  (_name, { part, command, variables }) => {
    describeWith<string | readonly [string, string]>(
      part === null ? envoyPart() : both(envoyPart(), part),
      'with Remit before tools of MCP',
      (found) => {
        const at = typeof found === 'string' ? '' : found[1];
        let domain: ToolsDomain;
        let running: Running;
        let port: number;
        let before = 0;
        beforeAll(async () => {
          ({ domain } = await started());
          before = domain.server.requests.length;
          const { folder, issuer, upstream } = domain.place;
          const intents = join(folder, 'intents');
          await mkdir(intents, { recursive: true });
          await writeFile(join(intents, 'tidy.yaml'), blockOf('yaml', 'tidy.yaml'));
          const svid = { '--svid-cert': 'planner.pem', '--svid-key': 'planner.key', '--bundle': 'bundle.pem' };
          const files = Object.entries(svid).flatMap(([option, file]) => [option, join(folder, file)]);
          const options = ['--tasks', '--intents', intents, '--forward', `tools=${upstream}`, '--issuer', issuer];
          const words = await command(at, await mkdtemp(join(folder, 'service-')));
          port = await freePort();
          running = remit(['run', ...options, ...files, '--', ...words], { PORT: String(port), ...variables?.(at) });
        });
        afterAll(async () => {
          running?.child.kill('SIGTERM');
          await running?.exit;
        });

        it(
          'calls the tool for each of its users in a task of its own, and completes it',
          async () => {
            // One file, since the limits of the domain let all agents read one alone.
            const names = ['trip', 'trip', 'trip'];
            const answers = await Promise.all(names.map((name) => shown(port, name)));
            expect(answers.map((answer) => JSON.parse(answer))).toEqual(
              names.map(() => ({ text: 'read_file was run' })),
            );
            const requests = domain.server.requests.slice(before);
            const tasks = new Set(requests.map(({ headers }) => String(headers['x-remit-task'])));
            expect(tasks.size).toBeGreaterThanOrEqual(names.length);
            const ended = async (): Promise<boolean> => {
              const states = await Promise.all([...tasks].map((task) => domain.stateOfTask(task)));
              return states.every((state) => state === 'completed');
            };
            await until(ended, { what: 'each task is completed' });
            expect(running.err()).not.toMatch(/remit_/);
          },
          TEST_MS,
        );
      },
    );
  },
);

import { execFile } from 'node:child_process';
import { cp, mkdtemp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { mapSeveral } from '../../../src/core/runtime/collections/map-several.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { clientPart, describeWith } from '../../parts.ts';
import type { ClientName } from '../../parts/clients.ts';
import { thoroughly } from '../../thoroughly.ts';
import { type ServiceDomain, startServiceDomain } from './service-domain.ts';
import { type ToolsUpstream, toolsUpstream } from './tools-upstream.ts';

const USERS = thoroughly(200, 12);
const CALLS = thoroughly(50, 5);

const CLIENTS: readonly (readonly [title: string, packages: ClientName, program: string])[] = [
  ['the Python SDK 1.x of MCP', 'mcp-python-1', 'mcp_users.py'],
  ['the Python SDK 2.x of MCP', 'mcp-python-2', 'mcp_users.py'],
  ['the TypeScript SDK 2.x of MCP', 'mcp-typescript-2', 'mcp-users-2.mjs'],
];

// Issue 44, point 2: clients of MCP 1.x send every call under the context that opened the session.
describe.each(CLIENTS)('users of a service in one process, with %s', (_title, packages, program) => {
  describeWith(clientPart(packages), `${packages} in \`remit agent\``, (at) => {
    const folder = testFolders(async () => {
      await upstream.close();
      await domain.close();
    });
    let domain: ServiceDomain;
    let upstream: ToolsUpstream;
    beforeAll(async () => {
      domain = await startServiceDomain(folder());
      upstream = toolsUpstream(domain.connectionOf);
      domain.answer(upstream.handler);
    });

    /** The command of the program, beside its packages. */
    const prepared = async (): Promise<readonly [command: string, file: string]> => {
      if (program.endsWith('.py')) return ['python3', join(import.meta.dirname, program)];
      const beside = await mkdtemp(join(folder(), 'program-'));
      await cp(join(import.meta.dirname, program), join(beside, program));
      await symlink(join(at, 'node_modules'), join(beside, 'node_modules'));
      return [process.execPath, join(beside, program)];
    };

    it(`are each in their own task, by ${USERS} sessions at once`, async () => {
      const helper = await domain.helper({ bounds: { maxTasks: 300, maxTasksPerUser: 300, idleSeconds: 600 } });
      const made = await mapSeveral(Array.from({ length: USERS }), 4, () => helper.declare());
      const users = made.map(({ forward, task }) => [`${forward['tools']}/mcp`, task]);
      const [command, file] = await prepared();
      const { stdout } = await promisify(execFile)(command, [file], {
        env: { PATH: process.env['PATH'], PYTHONPATH: at, USERS: JSON.stringify(users), CALLS: String(CALLS) },
      });
      expect(JSON.parse(stdout)).toEqual({ right: USERS * CALLS, wrong: 0 });
      expect(upstream.shared).toEqual([]);
    });
  });
});

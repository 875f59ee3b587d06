import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { examples, scratchFolder, startDomain } from '../../e2e/domain.ts';
import { type McpTestServer, startMcpServer } from '../../e2e/mcp-server.ts';
import { remit } from '../../e2e/process.ts';

/** How an MCP server of the catalog has denied calls answered, by its `denials`. */
export const FORMS = ['result', 'text', 'error', 'http'] as const;
export type Form = (typeof FORMS)[number];

/** Why a file is not deleted, in the words of the policy. */
export const ADVICE = 'ask a person to delete files';

const urlOf = (form: Form): string => `https://${form}.acme.test/mcp`;

const ARGUMENTS = '{ name: { required: true }, days: { type: long } }';

const catalogOf = (form: Form): string => `  ${form}:
    hosts: [${form}.acme.test]
    audience: ${urlOf(form)}
    mcp:
      path: /mcp
      denials: ${form}
      tools:
        read_file: { action: ${form}.read, risk: low, args: ${ARGUMENTS} }
        delete_file: { action: ${form}.delete, risk: low, args: ${ARGUMENTS} }
        share_file: { action: ${form}.share, risk: low, args: ${ARGUMENTS} }
`;

const policiesOf = (form: Form): string => `
@id("${form}-files")
permit (
  principal in Remit::AgentGroup::"agents",
  action in [
    Remit::Action::"${form}.mcp.session",
    Remit::Action::"${form}.read",
    Remit::Action::"${form}.delete",
    Remit::Action::"${form}.share"
  ],
  resource in Remit::Server::"${form}"
);

@id("${form}-files-stay")
@reason("${ADVICE}")
forbid (principal, action == Remit::Action::"${form}.delete", resource)
when { context.args has name && context.args.name == "trip" };
`;

const intentOf = (form: Form): object => ({
  purpose: 'tidy up files',
  access: [
    { resource: urlOf(form), actions: [`${form}.read`, `${form}.delete`] },
    { resource: urlOf(form), actions: [`${form}.share`], constraints: { max_calls: 1 } },
  ],
  expires_in: '10m',
});

/** A task of a service. */
export interface ServiceTask {
  readonly id: string;
  /** Whoever calls it acts within the task. */
  readonly url: string;
  /** Completes the task. */
  readonly end: () => Promise<void>;
}

/** A trust domain with an MCP server behind Envoy at one host for each form of denials, and `remit agent` beside a service. */
export interface FormsDomain {
  readonly server: McpTestServer;
  /** Declares a task of a service, for the tools at the host of a form. */
  readonly declare: (form: Form) => Promise<ServiceTask>;
  readonly close: () => Promise<void>;
}

/** Starts it with this Envoy. */
export async function startFormsDomain(envoy: string): Promise<FormsDomain> {
  const { folder, remove } = await scratchFolder('remit-forms-');
  const server = await startMcpServer();
  const policies = join(folder, 'policies');
  const intents = join(folder, 'intents');
  await writePolicies(policies);
  await mkdir(intents);
  for (const form of FORMS) await writeFile(join(intents, `${form}.json`), JSON.stringify(intentOf(form)));
  const domain = await startDomain(envoy, {
    folder,
    policies,
    servers: FORMS.map((form) => ({
      hosts: [`${form}.acme.test`],
      streams: [],
      streamed: ['/mcp'],
      own: { ...server.address, isHttp2: false },
    })),
  });
  const { envoyPort, issuerHost } = domain.stage;
  const files = { '--svid-cert': 'planner.pem', '--svid-key': 'planner.key', '--bundle': 'bundle.pem' };
  const helperFolder = join(folder, 'helper');
  const options = { '--issuer': `https://${issuerHost}`, '--intents': intents, '--folder': helperFolder };
  const helper = remit([
    'agent',
    ...Object.entries(options).flat(),
    ...Object.entries(files).flatMap(([option, file]) => [option, join(folder, file)]),
    ...FORMS.flatMap((form) => ['--forward', `${form}=${urlOf(form)},connect=127.0.0.1:${envoyPort}`]),
  ]);
  await helper.said('ready');
  const tasks = /REMIT_TASKS="?(\S+?)"?$/m.exec(await readFile(join(helperFolder, 'environment'), 'utf8'))?.[1] ?? '';
  return {
    server,
    declare: (form) => declared(tasks, form),
    close: async () => {
      helper.child.kill('SIGTERM');
      await helper.exit;
      await domain.stop();
      await server.close();
      await remove();
    },
  };
}

async function declared(tasks: string, form: Form): Promise<ServiceTask> {
  const answer = await fetch(tasks, { method: 'POST', body: JSON.stringify({ intent: `${form}.json` }) });
  if (answer.status !== 201) throw new Error(`no task: ${await answer.text()}`);
  const { task, forward, end } = (await answer.json()) as {
    readonly task: string;
    readonly forward: Readonly<Record<string, string>>;
    readonly end: string;
  };
  return { id: task, url: forward[form] ?? '', end: async () => void (await fetch(end, { method: 'DELETE' })) };
}

async function writePolicies(folder: string): Promise<void> {
  await mkdir(join(folder, 'policies'), { recursive: true });
  const shared = ['base.cedarschema', 'entities.cedarentities.json', 'policies/issue.cedar'];
  for (const name of shared) await copyFile(join(examples, name), join(folder, name));
  await writeFile(join(folder, 'actions.yaml'), `servers:\n${FORMS.map(catalogOf).join('')}`);
  await writeFile(join(folder, 'policies', 'agents.cedar'), FORMS.map(policiesOf).join(''));
}

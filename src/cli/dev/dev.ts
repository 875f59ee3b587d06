/** `remit dev`: start a throw-away trust domain with Envoy, to try things. */
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { commandsFor, signInCommands, titleOf } from '../../dev/commands-to-try.ts';
import type { DevDomain } from '../../dev/domain.ts';
import type { HostPort } from '../../tools/init/envoy-config.ts';
import { planFor } from '../../dev/plan.ts';
import type { DomainPlan } from '../../dev/plan.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { EXIT } from '../command.ts';
import type { Command } from '../command.ts';
import { EXAMPLE_POLICIES, withDomain } from './domain.ts';
import { optionsFrom } from '../options.ts';

const help = `usage: remit dev [--policies FOLDER [--base FOLDER]] [--upstream NAME=HOST:PORT ...] [--json]

Starts a throw-away trust domain on loopback, to try things: Envoy with the shipped configuration and a route to each server of
the catalog, a server behind them that answers any call, an SVID for each agent that the entities, policies or test cases
name, and Remit. Prints the addresses and example commands for the folder with their expected results, and runs until Ctrl-C.

  --policies FOLDER   the policies; default the example policies. Changes are applied while it runs
  --base FOLDER       where to take the catalog, the base schema and the entities from if the policies folder lacks them;
                      catalog and base schema are copied once
  --upstream NAME=HOST:PORT
                      send calls of this server of the catalog to a server of your own, without TLS; may be repeated
  --json              print one line of JSON for fixtures of tests in place of the text: addresses, certificates, resources

The trust domain is the one of most agents in the folder, else \`acme.test\`.

  remit dev                          with the example policies
  remit dev --policies my-policies   with your own
  remit dev --policies cedar-policies/examples/legacy-exception --base cedar-policies
  remit dev --policies my-policies --upstream payments=127.0.0.1:8000 --json

exit codes: 0 ended by a signal, 2 it could not be started`;

/** `remit dev`. */
export const dev: Command = {
  name: 'dev',
  help,
  run: async (args, io) => {
    const options = optionsFrom(args, known, 0);
    const upstreams = typeof options === 'string' ? { problem: options } : upstreamsFrom(options.values.upstream ?? []);
    if (typeof options === 'string' || isProblem(upstreams)) {
      io.err(`remit dev: ${isProblem(upstreams) ? upstreams.problem : ''}`);
      return EXIT.bad;
    }
    const { policies, base, json } = options.values;
    return withDomain(io, {
      plan: (scratch) =>
        planFor(resolve(policies ?? EXAMPLE_POLICIES), {
          scratch,
          nowMs: systemPorts.nowMs(),
          upstreams,
          ...(base === undefined ? {} : { base: resolve(base) }),
        }),
      // Standard output is for the line of JSON alone.
      ...(json === true ? { logs: { log: io.err } } : {}),
      play: async (domain, plan) => {
        if (json === true) {
          io.out(JSON.stringify(placesFor(domain, plan)));
        } else {
          io.out(placesText(domain));
          io.out(await commandsToTry(domain, plan));
        }
        return { exit: EXIT.good, isKept: true };
      },
    });
  },
};

const known = {
  policies: { type: 'string' },
  base: { type: 'string' },
  upstream: { type: 'string', multiple: true },
  json: { type: 'boolean' },
} as const;

/** The servers of the user's own, by their names in the catalog. */
function upstreamsFrom(words: readonly string[]): ReadonlyMap<string, HostPort> | Problem {
  const upstreams = new Map<string, HostPort>();
  for (const word of words) {
    const [, name = '', host = '', port = ''] =
      /^([^=\s]{1,128})=([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(\d{1,5})$/.exec(word) ?? [];
    if (name === '' || Number(port) < 1 || Number(port) > 65_535)
      return { problem: `\`--upstream ${word}\` must be NAME=HOST:PORT, such as payments=127.0.0.1:8000` };
    if (upstreams.has(name)) return { problem: `\`--upstream\` names \`${name}\` twice` };
    upstreams.set(name, { host: host.replace(/^\[|\]$/g, ''), port: Number(port) });
  }
  return upstreams;
}

/** The object that `--json` prints, for fixtures of tests. */
function placesFor({ places, stage }: DevDomain, plan: DomainPlan): object {
  const folder = places.get('folder') ?? '';
  const { planner, reporter, thief } = stage;
  const workloads = Object.entries({ planner, reporter, thief }).map(([name, { id }]) => [name, id] as const);
  const agents = Array.from(new Map([...workloads, ...plan.agents]), ([name, id]) => [
    name,
    { id, certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) },
  ]);
  return {
    envoy: places.get('envoy'),
    issuer: places.get('issuer'),
    bundle: join(folder, 'bundle.pem'),
    folder,
    state: places.get('state'),
    resources: Object.fromEntries(plan.resources),
    agents: Object.fromEntries(agents),
  };
}

/** The addresses and files of a domain, one line each. */
export const placesText = (domain: DevDomain): string =>
  [...domain.places].map(([name, place]) => `  ${name.padEnd(14)} ${place}`).join('\n');

async function commandsToTry({ places, stage }: DevDomain, plan: DomainPlan): Promise<string> {
  const folder = places.get('folder') ?? '';
  const issuer = places.get('issuer') ?? '';
  const files = new Map([...plan.agents].map(([name, id]) => [String(id), name]));
  const at = { folder, issuer, envoyPort: stage.envoyPort, files: new Map([[stage.planner.id, 'planner'], ...files]) };
  const blocks: string[] = [];
  for (const [index, trial] of plan.trials.entries()) {
    const { commands, files: bodies } = commandsFor(trial, at, index + 1);
    for (const [file, bytes] of bodies) await writeFile(file, bytes, { mode: 0o600 });
    blocks.push(`# ${index + 1}. ${titleOf(trial)}\n${commands.join('\n')}`);
  }
  const first = plan.trials.find(({ denied, isInTask }) => denied === null && isInTask);
  if (first !== undefined) {
    const { agent, action, purpose } = first;
    const name = at.files.get(agent) ?? '';
    const intent = { purpose, access: [{ resource: action.server.audience, actions: [action.id] }] };
    await writeFile(`${folder}/intent.yaml`, stringify(intent), { mode: 0o600 });
    blocks.push(`# or as an OAuth client: a 401 leads to the metadata, a scope alone is an intent without a purpose, a refresh renews it
${signInCommands(first, at).join('\n')}`);
    blocks.push(`# or let a command find its token, and end the task with the command
remit run --intent ${folder}/intent.yaml --issuer ${issuer} --svid-cert ${folder}/${name}.pem \\
    --svid-key ${folder}/${name}.key --bundle ${folder}/bundle.pem -- sh -c \\
    'curl -s -H "authorization: Bearer $REMIT_TOKEN_URL_AUTH" $REMIT_TOKEN_URL'`);
  }
  if (plan.trials.length === 0) blocks.push('# no call to try: the folder has no agent, or its catalog no action');
  for (const id of plan.strangers) blocks.push(`# no SVID for ${id}: its trust domain is not \`${plan.trustDomain}\``);
  return `\n${[...blocks, `# look at the tasks\nremit task list --state ${places.get('state')}`].join('\n\n')}\n`;
}

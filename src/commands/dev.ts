import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { commandsFor, signInCommands, titleOf } from '../dev/commands-to-try.ts';
import type { DevDomain } from '../dev/domain.ts';
import { planFor } from '../dev/plan.ts';
import type { DomainPlan } from '../dev/plan.ts';
import { systemPorts } from '../runtime/ports.ts';
import { EXIT } from './command.ts';
import type { Command } from './command.ts';
import { EXAMPLE_POLICIES, withDomain } from './domain.ts';
import { optionsFrom } from './options.ts';

const help = `usage: remit dev [--policies FOLDER [--base FOLDER]]

Starts a throw-away trust domain on loopback, to try things: Envoy with the shipped configuration and a route to each server of
the catalog, a server behind them that answers any call, an SVID for each agent that the entities, policies or test cases
name, and Remit. Prints the addresses and example commands for the folder with their expected results, and runs until Ctrl-C.

  --policies FOLDER   the policies; default the example policies. Changes are applied while it runs
  --base FOLDER       where to take the catalog, the base schema and the entities from if the policies folder lacks them;
                      catalog and base schema are copied once

The trust domain is the one of most agents in the folder, else \`acme.test\`.

  remit dev                          with the example policies
  remit dev --policies my-policies   with your own
  remit dev --policies cedar-policies/examples/legacy-exception --base cedar-policies

exit codes: 0 ended by a signal, 2 it could not be started`;

/** `remit dev`. */
export const dev: Command = {
  name: 'dev',
  help,
  run: async (args, io) => {
    const options = optionsFrom(args, { policies: { type: 'string' }, base: { type: 'string' } }, 0);
    if (typeof options === 'string') {
      io.err(`remit dev: ${options}`);
      return EXIT.bad;
    }
    const { policies, base } = options.values;
    return withDomain(io, {
      plan: (scratch) =>
        planFor(policies ?? EXAMPLE_POLICIES, {
          scratch,
          nowMs: systemPorts.nowMs(),
          ...(base === undefined ? {} : { base }),
        }),
      play: async (domain, plan) => {
        io.out(placesText(domain));
        io.out(await commandsToTry(domain, plan));
        await io.ended();
        return EXIT.good;
      },
    });
  },
};

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

import type { DevDomain } from '../dev/domain.ts';
import { EXIT } from './command.ts';
import type { Command } from './command.ts';
import { withDomain } from './domain.ts';
import { optionsFrom } from './options.ts';

const help = `usage: remit dev [--policies FOLDER]

Starts a throw-away trust domain to play with, on loopback: SVIDs for two agents and a thief, two tool servers, Envoy with
the shipped configuration, and Remit. It prints the addresses and the commands to try, and runs until Ctrl-C.

  remit dev                          with the example policies
  remit dev --policies my-policies   with your own

exit: 0 ended by a signal, 2 it could not be started`;

/** `remit dev`. */
export const dev: Command = {
  name: 'dev',
  help,
  run: async (args, io) => {
    const options = optionsFrom(args, { policies: { type: 'string' } }, 0);
    if (typeof options === 'string') {
      io.err(`remit dev: ${options}`);
      return EXIT.bad;
    }
    return withDomain(io, {
      policies: options.values.policies ?? null,
      play: async (domain) => {
        io.out(placesText(domain));
        io.out(commandsToTry(domain));
        await io.ended();
        return EXIT.good;
      },
    });
  },
};

/** The addresses and files of a domain, a line each. */
export const placesText = (domain: DevDomain): string =>
  [...domain.places].map(([name, place]) => `  ${name.padEnd(14)} ${place}`).join('\n');

function commandsToTry({ places, stage }: DevDomain): string {
  const folder = places.get('folder') ?? '';
  const as = `--cacert ${folder}/bundle.pem --cert ${folder}/planner.pem --key ${folder}/planner.key`;
  const detail = { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.read'] };
  return `
declare an intent and get a token:
  curl -s ${as} ${places.get('issuer')}/oauth/token \\
    -d grant_type=client_credentials -d resource=https://payments.acme.test \\
    --data-urlencode 'authorization_details=${JSON.stringify([{ ...detail, purpose: 'look at a payment' }])}'

use it through Envoy:
  curl -s ${as} --connect-to payments.acme.test:443:127.0.0.1:${stage.envoyPort} \\
    https://payments.acme.test/v1/payments/p-1 -H "authorization: Bearer $TOKEN"

or let a command find its token, and end the task with the command:
  remit run --intent ${folder}/intent.yaml --issuer ${places.get('issuer')} --svid-cert ${folder}/planner.pem \\
    --svid-key ${folder}/planner.key --bundle ${folder}/bundle.pem -- sh -c \\
    'curl -s -H "authorization: Bearer $REMIT_TOKEN_URL_AUTH" $REMIT_TOKEN_URL'

look at the tasks:
  remit task list --state ${places.get('state')}
`;
}

/** `remit signals verify`: sends a verification event to a receiver of signals, and says whether it was accepted. */
import type { VerifiedReceiver } from '../authority/issuer/transmit/verification.ts';
import { printable } from '../core/ledger/timeline-text.ts';
import { printableJson } from '../core/ledger/printable-json.ts';
import { isProblem } from '../core/runtime/problem.ts';
import { adminObject, DEFAULT_ADMIN } from './admin-answer.ts';
import { EXIT, refused } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';

const help = `remit signals verify: try a receiver of \`issuer.signals.transmit\`

usage: remit signals verify NAME [--state TEXT] [--admin URL] [--json]

  NAME          the name of the receiver in the configuration
  --state TEXT  what the receiver has asked to be sent, by which it knows the event, at most 256 characters; default none
  --admin URL   the admin address of an issuer; default \`${DEFAULT_ADMIN}\`. \`unix:/PATH\` for \`admin.socket\`
  --json        {receiver, result, status, detail, jti}

Has the running issuer send a verification event (OpenID Shared Signals Framework 1.0, 8.1.4) once, at once, signed with its key and with the bearer
token and certificates of the configuration, as it sends ends, stops and stolen tokens; and prints what the receiver answered. The event revokes nothing.
The issuer answers this on a loopback address or \`admin.socket\` alone: run it on its host.

  remit signals verify siem

exit codes: 0 accepted, 1 refused, or not delivered, 2 bad use, no such receiver, or no answer of the issuer`;

/** `remit signals verify`. */
export const signalsVerifyCommand: Command = { name: 'signals verify', help, run: signalsVerify };

/** Longer than the push may take. */
const TIMEOUT_MS = 15_000;
const MAX_STATE = 256;
/** What every answer has; the others depend on the result. */
const VERIFIED = { result: 'string', jti: 'string' } as const;
const NAME = 'remit signals verify';

/** Runs `remit signals verify`; the exit code is the answer. */
export async function signalsVerify(args: readonly string[], io: Pick<CommandIo, 'out' | 'err'>): Promise<number> {
  const options = optionsFrom(
    args,
    {
      state: { type: 'string' },
      admin: { type: 'string', default: DEFAULT_ADMIN },
      json: { type: 'boolean', default: false },
    },
    1,
  );
  if (typeof options === 'string') return refused(io, NAME, options);
  const [receiver] = options.operands;
  const { admin, json, state } = options.values;
  if (receiver === undefined)
    return refused(io, NAME, 'the name of a receiver of `issuer.signals.transmit` is required');
  if (state !== undefined && (state === '' || state.length > MAX_STATE))
    return refused(io, NAME, `--state must have 1 to ${MAX_STATE} characters`);
  const query = state === undefined ? '' : `?state=${encodeURIComponent(state)}`;
  const path = `/signals/${encodeURIComponent(receiver)}/verification${query}`;
  const asked = { timeoutMs: TIMEOUT_MS, method: 'POST', members: VERIFIED } as const;
  const read = await adminObject<VerifiedReceiver>(admin, path, asked);
  if (isProblem(read)) return refused(io, NAME, read.problem);
  const verified = read.answer;
  io.out(json ? printableJson({ receiver, ...verified }) : printable(verdictOf(receiver, verified)));
  return verified.result === 'taken' ? EXIT.good : EXIT.no;
}

function verdictOf(receiver: string, verified: VerifiedReceiver): string {
  const event = `the verification event \`${verified.jti}\``;
  if (verified.result === 'taken') return `receiver \`${receiver}\` accepted ${event} with ${verified.status}`;
  const what = verified.result === 'refused' ? 'refused' : 'did not take';
  return `receiver \`${receiver}\` ${what} ${event}: ${verified.detail}`;
}

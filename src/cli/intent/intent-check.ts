/** `remit intent check`: what the issuer would grant of an intent. */
import { IssuerClient } from '../../agent/task/issuer-client.ts';
import { checkedIntent } from '../../agent/task/checked-intent.ts';
import type { CheckedAction, CheckedIntent } from '../../agent/task/checked-intent.ts';
import type { OAuthDeclaration } from '../../agent/task/declaration.ts';
import { isIssuerProblem, problemLines } from '../../agent/task/issuer-problem.ts';
import { OwnSvid } from '../../agent/run/own-svid.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';
import { intentPreview, previewJson } from '../../authority/issuer/tasks/intent-preview.ts';
import { isOAuthError } from '../../authority/issuer/oauth-error.ts';
import type { JsonValue } from '../../core/ledger/canonical-json.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { authorize } from '../../core/policy/authorize.ts';
import { everyUseDenied } from '../../core/policy/every-use.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { DEFAULT_LIVES } from '../../tools/policy/cases/test-case.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { Orders } from '../../core/order/orders.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { authorizationDetailsFrom } from '../../core/token/authorization-details.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { declarationFor, intentFromOptions, issuerFrom, issuerOptions, placeHelp } from './issuer-options.ts';
import { optionsFrom } from '../options.ts';
import { policySetAt } from '../policy/policy-operand.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const NAME = 'remit intent check';

const help = `${NAME}: what the issuer would grant of an intent, and what not and why

usage: ${NAME} FILE [OPTION ...]
       ${NAME} FILE --policies FOLDER --agent SPIFFE-ID [--resource URL] [--ttl DURATION] [--json]

  FILE              the intent, YAML or JSON
  --resource URL    one of the resources of the intent; default all of them
${placeHelp}
  --policies FOLDER without an issuer: by a policy folder, with the default lives of tokens and tasks
  --agent ID        with --policies: the agent that declares the intent
  --json            a list with one object for each resource

An action that would be granted is shown with "every use is denied" if the policies deny each use, whatever its arguments.

Nothing is issued and nothing recorded. The issuer decides as for a token, action by action, and counts the request by the limits of this
workload.

  ${NAME} report.yaml --config remit.yaml
  ${NAME} report.yaml --policies cedar-policies --agent spiffe://acme.test/ns/agents/sa/planner

exit codes: 0 all of it would be granted and may be used, 1 some of it not, 2 bad use, an invalid intent, or no answer`;

const OPTIONS = {
  ...issuerOptions,
  policies: { type: 'string' },
  agent: { type: 'string' },
  json: { type: 'boolean' },
} as const;

type Values = Exclude<ReturnType<typeof optionsOf>, string>['values'];
const optionsOf = (args: readonly string[]) => optionsFrom(args, OPTIONS, 1);

/** `remit intent check`. */
export const intentCheck: Command = {
  name: 'intent check',
  help,
  run: async (args, io) => {
    const checked = await checkedWith(args, io);
    return isCommandRefusal(checked) ? refused(io, NAME, checked) : checked;
  },
};

interface Checked extends CheckedIntent {
  readonly resource: string;
}

type Check = (declaration: OAuthDeclaration) => Promise<CheckedIntent | CommandRefusal>;

async function checkedWith(args: readonly string[], io: CommandIo): Promise<number | CommandRefusal> {
  const options = optionsOf(args);
  if (typeof options === 'string') return taskRefusal(options);
  const { values, operands } = options;
  const [file] = operands;
  if (file === undefined || values.intent !== undefined)
    return taskRefusal('the FILE of an intent is required, and no --intent');
  const intent = await intentFromOptions({ intent: file });
  if (isCommandRefusal(intent)) return intent;
  const opened = await checkerFrom(values, io);
  if (isCommandRefusal(opened)) return opened;
  const { check, close } = opened;
  try {
    const results: Checked[] = [];
    const named = new Set(intent.access.map(({ resource }) => resource));
    for (const resource of values.resource === undefined ? named : [values.resource]) {
      const declaration = declarationFor(intent, { values, nowMs: systemPorts.nowMs(), resource });
      if (isCommandRefusal(declaration)) return declaration;
      const result = await check(declaration);
      if (isCommandRefusal(result)) return result;
      results.push({ resource, ...result });
    }
    if (values.json === true) io.out(printableJson(results, 2));
    else for (const line of results.flatMap(checkedLines)) io.out(printable(line));
    return results.every(({ granted, actions }) => granted && actions.every(isOfUse)) ? EXIT.good : EXIT.no;
  } finally {
    close();
  }
}

async function checkerFrom(
  values: Values,
  io: CommandIo,
): Promise<{ readonly check: Check; readonly close: () => void } | CommandRefusal> {
  if (values.policies === undefined) {
    return values.agent === undefined ? issuerChecker(values, io) : taskRefusal('--agent goes with --policies');
  }
  if (values.issuer !== undefined || values.config !== undefined)
    return taskRefusal('--policies takes the place of an issuer: leave out --issuer and --config');
  if (values.agent === undefined) return taskRefusal('--agent SPIFFE-ID is required with --policies');
  const agent = spiffeIdFrom(values.agent);
  if (isDeny(agent)) return taskRefusal(`--agent: ${agent.detail}`);
  const set = await policySetAt(values.policies, undefined);
  if (isCommandRefusal(set)) return set;
  return { check: (declaration) => offline(declaration, agent, set), close: () => undefined };
}

async function issuerChecker(
  values: Values,
  io: CommandIo,
): Promise<{ readonly check: Check; readonly close: () => void } | CommandRefusal> {
  const issuer = await issuerFrom(values, io);
  if (isCommandRefusal(issuer)) return issuer;
  const svid = await OwnSvid.open(issuer.svid, systemPorts);
  const client = new IssuerClient(issuer, { svid, nowMs: systemPorts.nowMs });
  const check: Check = async (declaration) => {
    const answer = await client.check(declaration, io.environment['TRACEPARENT'] ?? null);
    return isIssuerProblem(answer) ? taskRefusal(problemLines(answer).join('\n')) : answer;
  };
  return { check, close: () => svid.close() };
}

/** Previews the intent with the issuer's own code and these policies, as if no task had been stopped before. */
async function offline(
  { resource, details }: OAuthDeclaration,
  agent: SpiffeId,
  set: PolicySet,
): Promise<CheckedIntent | CommandRefusal> {
  const values = authorizationDetailsFrom(details);
  if (isProblem(values)) return taskRefusal(`the intent ${values.problem}`);
  const nowMs = systemPorts.nowMs();
  const { ttlSeconds: tokenSeconds, taskSeconds } = DEFAULT_LIVES;
  const preview = await intentPreview(
    // Safe: the details were made from a file as JSON.
    { resource, details: { values, json: details as readonly JsonValue[] }, claimed: {} },
    { id: agent, notAfterMs: Infinity },
    {
      policies: {
        catalog: set.catalog,
        preview: (question) => authorize(set, question),
        everyUseDenied: (uses) => everyUseDenied(set, uses),
      },
      settings: {
        url: 'https://issuer.invalid',
        tokenSeconds,
        taskSeconds,
        maxTaskSeconds: 86_400,
        stoppedTaskWaitSeconds: null,
      },
      authority: {
        clocks: () => ({ wallMs: nowMs, floorMs: nowMs, monotonicMs: 0 }),
        floorMs: () => nowMs,
        stopOf: () => Promise.resolve(null),
        ordersInForce: () => Promise.resolve(Orders.none),
      },
      nextTurn: () => Promise.resolve(),
    },
  );
  if (isOAuthError(preview)) return taskRefusal(preview.description);
  const read = checkedIntent(previewJson(preview));
  return isProblem(read) ? taskRefusal(`the answer ${read.problem}`) : read;
}

function checkedLines({ resource, granted, actions, refusal: whole, ...rest }: Checked): readonly string[] {
  const width = Math.max(0, ...actions.map(({ action }) => action.length));
  const { task_seconds: task, token_seconds: token } = rest;
  return [
    `${resource}: ${granted ? 'granted' : 'not granted'}`,
    ...(whole === null ? [] : [`  ${whole.error}: ${whole.error_description}`]),
    ...actions.map((one) => `  ${one.granted ? 'yes' : 'no '}  ${one.action.padEnd(width)}  ${whyOf(one)}`.trimEnd()),
    ...rest.authorization_details.flatMap(limitLine),
    ...(task === null || token === null ? [] : [`  task of ${task} s, tokens of ${token} s`]),
  ];
}

/** Whether it would be granted and at least one use could be allowed. */
const isOfUse = ({ granted, uses_denied: denied }: CheckedAction): boolean => granted && denied === null;

function whyOf({ reason, advice, nearest, uses_denied: denied }: CheckedAction): string {
  if (denied !== null) return `but every use is denied: ${adviceText(denied)}`;
  if (reason === null) return '';
  if (reason === 'action.unknown')
    return nearest === null ? 'no such action' : `no such action; did you mean ${nearest}?`;
  return adviceText({ reason, advice });
}

const adviceText = ({ reason, advice }: { readonly reason: string; readonly advice: string | null }): string =>
  advice === null ? reason : `${reason}: ${advice}`;

/** The constraints of an entry as they would be granted. */
function limitLine(entry: unknown): readonly string[] {
  const { actions, constraints } = Object(entry) as { readonly actions?: unknown; readonly constraints?: unknown };
  if (!Array.isArray(actions) || constraints === undefined) return [];
  return [`  limits of ${actions.map(String).join(', ')}: ${JSON.stringify(constraints)}`];
}

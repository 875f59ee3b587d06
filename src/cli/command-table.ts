import type { Command } from './command.ts';
import type { ThreadInput } from './thread/thread-commands.ts';

/** A command and the words that name it. Its code is loaded only when it is called. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
  /** May read the files of a running server for minutes: runs at low priority, so that the server's checks come first. */
  readonly isBesideServer?: true;
  /** Runs in a thread of its own, which takes less memory for very many records. */
  readonly inThread?: ThreadInput['name'];
}

/** Every command, in the order of `remit --help`. */
export const commandTable: readonly CommandEntry[] = [
  {
    name: 'init',
    summary: 'write a folder to start with: configuration, Envoy, policies, SPIRE entries',
    load: async () => (await import('./init.ts')).init,
  },
  {
    name: 'help',
    summary: 'print a page of the guide',
    load: async () => (await import('./help.ts')).helpCommand,
  },
  {
    name: 'serve',
    summary: 'run the roles named in the configuration',
    load: async () => (await import('./serve.ts')).serve,
  },
  {
    name: 'healthcheck',
    summary: 'ask a running Remit whether it is ready',
    load: async () => (await import('./healthcheck.ts')).healthcheckCommand,
  },
  {
    name: 'run',
    summary: 'run a command under a task of its own',
    load: async () => (await import('./run.ts')).run,
  },
  {
    name: 'agent',
    summary: 'help a service: a task for each of its requests',
    load: async () => (await import('./agent/agent.ts')).agentCommand,
  },
  {
    name: 'token',
    summary: 'print one token for other tools',
    load: async () => (await import('./token.ts')).token,
  },
  {
    name: 'intent check',
    summary: 'what the issuer would grant of an intent',
    load: async () => (await import('./intent/intent-check.ts')).intentCheck,
  },
  {
    name: 'intent new',
    summary: 'write an intent from a catalog, or from what a task used',
    load: async () => (await import('./intent/intent-new.ts')).intentNew,
  },
  {
    name: 'task',
    summary: 'list, show, suspend, resume or end tasks',
    load: async () => (await import('./task/task.ts')).taskCommand,
  },
  {
    name: 'stop',
    summary: 'stop an agent, a user, a server, an action or everything, or lift that',
    load: async () => (await import('./stop/stop.ts')).stopCommand,
  },
  {
    name: 'signals verify',
    summary: 'try a receiver of signals with an event that revokes nothing',
    load: async () => (await import('./signals-verify.ts')).signalsVerifyCommand,
  },
  {
    // Before `limits`, which is called by its first word alone.
    name: 'limits try',
    summary: 'say what limits over all tasks would have denied, on recorded uses',
    load: async () => (await import('./limits/limits-try.ts')).limitsTryCommand,
    isBesideServer: true,
  },
  {
    name: 'limits',
    summary: 'show what is used of limits over all tasks',
    load: async () => (await import('./limits/limits.ts')).limitsCommand,
  },
  {
    name: 'key',
    summary: 'list or revoke the signing keys of authorities on a PostgreSQL',
    load: async () => (await import('./key.ts')).keyCommand,
  },
  {
    name: 'backup',
    summary: 'back up state file and ledgers to a new folder, while serving',
    load: async () => (await import('./state/backup.ts')).backupCommand,
    isBesideServer: true,
  },
  {
    name: 'restore',
    summary: 'restore a backup',
    load: async () => (await import('./state/restore.ts')).restoreCommand,
  },
  {
    name: 'migrate',
    summary: 'make or update the tables of the state in a PostgreSQL',
    load: async () => (await import('./state/migrate.ts')).migrateCommand,
  },
  {
    name: 'secrets',
    summary: 'list the long-lived secrets that agents sent',
    load: async () => (await import('./secrets.ts')).secrets,
  },
  {
    name: 'fleet',
    summary: 'show an authority and the sidecars that follow it',
    load: async () => (await import('./fleet.ts')).fleetCommand,
  },
  {
    name: 'learn',
    summary: 'write catalog, policies, intents and tests from recorded calls, for review',
    load: async () => (await import('./learn.ts')).learnCommand,
    isBesideServer: true,
    inThread: 'learn',
  },
  {
    name: 'inventory',
    summary: 'list agents, users, servers, tools and grants, and when each was last used',
    load: async () => (await import('./inventory.ts')).inventoryCommand,
    isBesideServer: true,
    inThread: 'inventory',
  },
  {
    name: 'observe',
    summary: 'list what is observed and whether it is ready to be enforced, or end it',
    load: async () => (await import('./observe.ts')).observeCommand,
    isBesideServer: true,
    inThread: 'observe',
  },
  {
    name: 'doctor',
    summary: 'find why calls are not checked, or why none gets through',
    load: async () => (await import('./doctor.ts')).doctorCommand,
  },
  {
    name: 'trace',
    summary: 'show the next matching check stage by stage',
    load: async () => (await import('./trace/trace.ts')).traceCommand,
  },
  {
    name: 'why',
    summary: 'from a value in the log of an upstream to who, which intent, which policies, and what else',
    load: async () => (await import('./why/why-command.ts')).whyCommand,
  },
  {
    name: 'explain',
    summary: 'say in plain words why a call was denied',
    load: async () => (await import('./explain/explain.ts')).explainCommand,
  },
  {
    name: 'ledger evidence',
    summary: 'report what the ledger shows for the controls of a framework',
    load: async () => (await import('./ledger/ledger-evidence.ts')).ledgerEvidenceCommand,
    isBesideServer: true,
  },
  {
    name: 'ledger query',
    summary: 'find records by task, agent, decision, argument, path, policy, time …',
    load: async () => (await import('./ledger/ledger-query.ts')).ledgerQueryCommand,
  },
  {
    name: 'ledger stats',
    summary: 'count records by what they say, and over time, with sums',
    load: async () => (await import('./ledger/ledger-stats.ts')).ledgerStatsCommand,
    isBesideServer: true,
  },
  {
    name: 'ledger index',
    summary: 'make the index by which records of a ledger are found',
    load: async () => (await import('./ledger/ledger-index.ts')).ledgerIndexCommand,
    isBesideServer: true,
  },
  {
    name: 'ledger verify',
    summary: 'verify the ledger: which records are anchored, signed, bare or broken',
    load: async () => (await import('./ledger/ledger-verify.ts')).ledgerVerifyCommand,
    isBesideServer: true,
  },
  {
    name: 'ledger fetch',
    summary: 'copy the records of sidecars from an object store',
    load: async () => (await import('./ledger/ledger-fetch.ts')).ledgerFetchCommand,
  },
  {
    name: 'ledger prove',
    summary: 'prove that one record is in the ledger',
    load: async () => (await import('./ledger/ledger-prove.ts')).ledgerProveCommand,
  },
  {
    name: 'ledger check-proof',
    summary: 'check a proof without the ledger',
    load: async () => (await import('./ledger/ledger-check-proof.ts')).ledgerCheckProofCommand,
  },
  {
    name: 'ledger export',
    summary: 'export records as JSON Lines or OTLP logs, to a file or a collector',
    load: async () => (await import('./ledger/ledger-export.ts')).ledgerExportCommand,
    isBesideServer: true,
  },
  {
    name: 'policy validate',
    summary: 'check policies, schema, entities and action catalog',
    load: async () => (await import('./policy/policy-validate.ts')).policyValidateCommand,
  },
  {
    name: 'policy test',
    summary: 'run the test cases of the policies',
    load: async () => (await import('./policy/policy-test.ts')).policyTestCommand,
  },
  {
    name: 'policy explain',
    summary: 'explain why a call is allowed or denied, and what would change that',
    load: async () => (await import('./policy/policy-explain.ts')).policyExplainCommand,
  },
  {
    name: 'policy lint',
    summary: 'find what is valid but probably a mistake',
    load: async () => (await import('./policy/policy-lint.ts')).policyLint,
  },
  {
    name: 'policy list',
    summary: 'list policies with owner, end and last use',
    load: async () => (await import('./policy/policy-list.ts')).policyList,
  },
  {
    name: 'policy owners',
    summary: 'write CODEOWNERS from the owners of policies',
    load: async () => (await import('./policy/policy-owners.ts')).policyOwners,
  },
  {
    name: 'policy fmt',
    summary: "format policies in Cedar's own style",
    load: async () => (await import('./policy/policy-fmt.ts')).policyFmt,
  },
  {
    name: 'policy new',
    summary: 'write a permit for one action, from the types of its arguments',
    load: async () => (await import('./policy/policy-new.ts')).policyNew,
  },
  {
    name: 'policy schema',
    summary: 'print the schema that policies are checked against, for editors',
    load: async () => (await import('./policy/policy-schema.ts')).policySchema,
  },
  {
    name: 'policy bundle',
    summary: 'sign a policy folder, with a serial and an expiry',
    load: async () => (await import('./policy/policy-bundle.ts')).policyBundle,
  },
  {
    name: 'policy rollout',
    summary: 'show what policies on trial would have decided differently',
    load: async () => (await import('./policy/policy-rollout.ts')).policyRollout,
  },
  {
    name: 'policy diff',
    summary: 'show what another policy set decides differently, on records and cases',
    load: async () => (await import('./policy/policy-diff.ts')).policyDiff,
  },
  {
    name: 'policy analyze',
    summary: 'prove what a change of policies allows',
    load: async () => (await import('./policy/policy-analyze.ts')).policyAnalyze,
  },
  {
    name: 'policy eval',
    summary: 'answer plain Cedar requests with the engine of Remit',
    load: async () => (await import('./policy/policy-eval.ts')).policyEvalCommand,
  },
  {
    name: 'policy import',
    summary: 'make catalog entries from an OpenAPI, MCP tools or proto file',
    load: async () => (await import('./policy/policy-import.ts')).policyImport,
  },
  {
    name: 'inject',
    summary: 'add the Remit sidecar to Kubernetes workloads',
    load: async () => (await import('./inject.ts')).injectCommand,
  },
  {
    name: 'dev',
    summary: 'start a throw-away trust domain with Envoy, to try things',
    load: async () => (await import('./dev/dev.ts')).dev,
  },
  {
    name: 'demo',
    summary: 'run one task through a real Envoy, step by step',
    load: async () => (await import('./dev/demo.ts')).demo,
  },
];

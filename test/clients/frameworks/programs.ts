import { execFile } from 'node:child_process';
import { cp, mkdtemp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { both, builtClientPart, clientPart, envoyPart, goClientPart, type Part } from '../../parts.ts';
import type { ClientName } from '../../parts/clients.ts';
import type { ToolCall } from '../scripted-model.ts';

/** A program that runs an agent, or a session of an SDK, for each task of a service at once. Stock code that is given URLs. */
export interface JobProgram {
  /** As the page of clients calls it. */
  readonly name: string;
  /** What it needs: the folder of its packages, or the program as it is built. */
  readonly part: Part<string>;
  /** Its command. @param at what was found of the part @param scratch an empty folder */
  readonly command: (at: string, scratch: string) => Promise<Command>;
}

interface Command {
  readonly words: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
}

const ofPython = (name: string, packages: ClientName, program: string): JobProgram => ({
  name,
  part: clientPart(packages),
  command: async (at) => ({
    words: ['python3', join(import.meta.dirname, 'python', program)],
    // What some frameworks send home otherwise; here is no network.
    variables: { PYTHONPATH: at, OTEL_SDK_DISABLED: 'true' },
  }),
});

const ofNode = (name: string, packages: ClientName, program: string): JobProgram => ({
  name,
  part: clientPart(packages),
  command: async (at, scratch) => {
    // Node looks for packages in the folders above a program, so this one is copied to where its packages are.
    const beside = await mkdtemp(join(scratch, 'program-'));
    await cp(join(import.meta.dirname, 'node'), beside, { recursive: true });
    await symlink(join(at, 'node_modules'), join(beside, 'node_modules'));
    return { words: [process.execPath, join(beside, program)], variables: {} };
  },
});

/** The programs, in the order of the page. */
export const JOB_PROGRAMS: readonly JobProgram[] = [
  ofPython('LangGraph', 'langgraph', 'langgraph_jobs.py'),
  ofPython('openai-agents', 'openai-agents', 'openai_agents_jobs.py'),
  ofPython('pydantic-ai', 'pydantic-ai', 'pydantic_jobs.py'),
  ofPython('LlamaIndex', 'llama-index', 'llama_index_jobs.py'),
  ofPython('Semantic Kernel', 'semantic-kernel', 'semantic_kernel_jobs.py'),
  ofPython('Microsoft Agent Framework', 'agent-framework', 'agent_framework_jobs.py'),
  ofPython('Google ADK', 'google-adk', 'adk_jobs.py'),
  ofPython('smolagents', 'smolagents', 'smolagents_jobs.py'),
  ofPython('Strands Agents', 'strands', 'strands_jobs.py'),
  ofNode('Vercel AI SDK', 'vercel-ai', 'vercel-ai-jobs.mjs'),
  ofNode('Mastra', 'mastra', 'mastra-jobs.mjs'),
  {
    name: 'MCP SDK for Go',
    part: goClientPart('mcp-go-jobs'),
    command: async (at) => ({ words: [at], variables: {} }),
  },
  {
    name: 'MCP SDK for Rust',
    part: builtClientPart('rmcp'),
    command: async (at) => ({ words: [join(at, 'agent')], variables: {} }),
  },
  {
    name: 'MCP SDK for Java',
    part: builtClientPart('mcp-java'),
    command: async (at) => ({ words: ['java', '-cp', `${at}/classes:${at}/lib/*`, 'Jobs'], variables: {} }),
  },
];

/** A task of a service, and what is to be called in it. */
export interface Job {
  /** `job-` and a word of letters. */
  readonly job: string;
  readonly url: string;
  readonly calls: readonly ToolCall[];
}

/** How one job ended. */
export interface JobEnd {
  readonly job: string;
  /** What the agent said at last. */
  readonly said?: string;
  /** Why it broke off. */
  readonly error?: string;
  /** What each call was answered, of an SDK that has no model. */
  readonly handed?: readonly string[];
}

/** A line about a job, among whatever a framework prints. */
const JOB_END = /^\{"(?:error|handed|job)":/;

/** Long enough for a loaded machine, which takes a minute to import some of the frameworks. */
const WITHIN_MS = 170_000;

/** Runs a program to its end, for these jobs. The second is what it wrote to stderr. */
export async function jobsEnded(
  { words: [program = '', ...args], variables }: Command,
  { jobs, modelUrl }: { readonly jobs: readonly Job[]; readonly modelUrl: string },
): Promise<readonly [ends: readonly JobEnd[], err: string]> {
  const given = { JOBS: JSON.stringify(jobs), OPENAI_BASE_URL: modelUrl, OPENAI_API_KEY: 'of-no-model' };
  const options = { env: { ...process.env, ...variables, ...given }, timeout: WITHIN_MS, maxBuffer: 1 << 26 };
  const [out, err] = await new Promise<[string, string]>((settle) => {
    execFile(program, args, options, (_error, out, err) => settle([out, err]));
  });
  const lines = out.split('\n').filter((line) => JOB_END.test(line));
  return [lines.map((line) => JSON.parse(line) as JobEnd), err];
}

/** What a program needs to run with Remit. */
export const withEnvoy = ({ part }: JobProgram): Part<readonly [at: string, envoy: string]> => both(part, envoyPart());

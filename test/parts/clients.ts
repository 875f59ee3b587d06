import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { thoroughly } from '../thoroughly.ts';
import { cacheFolder } from './cache.ts';

/** Where packages come from. */
type Registry = 'pip' | 'npm';

/** Packages that one client program needs, in a folder of their own, since clients need versions that exclude each other. */
export interface ClientPackages {
  readonly registry: Registry;
  /** With their versions. What they depend on is the newest that they accept on the day of the installation. */
  readonly packages: readonly string[];
  /** Packages without a wheel, of Python alone: these are built. Default none. */
  readonly sources?: readonly string[];
  /** Whether they are so large, or start so slowly, that only `REMIT_THOROUGH=1` installs and runs them. Default no. */
  readonly isLarge?: true;
}

/** The clients that real agents are written with, each as users install it. None is a dependency of the project. */
export const clientPackages = {
  'mcp-python-1': { registry: 'pip', packages: ['mcp==1.30.0'] },
  'mcp-python-2': { registry: 'pip', packages: ['mcp==2.3.0'] },
  langchain: {
    registry: 'pip',
    packages: ['langchain-mcp-adapters==0.3.2', 'langchain==1.5.2', 'langchain-openai==1.7.4'],
  },
  'langchain-mcp': { registry: 'pip', packages: ['langchain[mcp]==1.5.2', 'langchain-openai==1.7.4'] },
  'openai-agents': { registry: 'pip', packages: ['openai-agents==0.24.0'] },
  'pydantic-ai': { registry: 'pip', packages: ['pydantic-ai-slim[mcp,openai]==2.68.0'] },
  langgraph: {
    registry: 'pip',
    packages: ['langgraph==1.2.24', 'langchain-mcp-adapters==0.3.2', 'langchain-openai==1.7.4'],
  },
  'llama-index': {
    registry: 'pip',
    packages: ['llama-index-core==0.14.25', 'llama-index-tools-mcp==0.6.0', 'llama-index-llms-openai-like==0.8.1'],
    isLarge: true,
  },
  'semantic-kernel': {
    registry: 'pip',
    packages: ['semantic-kernel[mcp]==1.45.0'],
    sources: ['pybars4', 'PyMeta3'],
    isLarge: true,
  },
  'agent-framework': {
    registry: 'pip',
    packages: ['agent-framework-core==1.23.0', 'agent-framework-openai==1.17.0', 'mcp==2.3.0', 'tenacity==9.1.4'],
    isLarge: true,
  },
  'google-adk': { registry: 'pip', packages: ['google-adk[mcp]==2.13.0'], isLarge: true },
  smolagents: { registry: 'pip', packages: ['smolagents[mcp,openai]==1.26.0', 'mcp==1.30.0'], isLarge: true },
  strands: { registry: 'pip', packages: ['strands-agents[openai]==1.62.0'], isLarge: true },
  fastmcp: { registry: 'pip', packages: ['fastmcp==4.2.3'] },
  fastapi: { registry: 'pip', packages: ['fastapi==0.163.2', 'uvicorn==0.54.0', 'mcp==2.3.0', 'httpx2==2.16.2'] },
  'a2a-python': { registry: 'pip', packages: ['a2a-sdk[http-server]==1.3.0'] },
  'oauth-python': {
    registry: 'pip',
    packages: [
      'Authlib==1.9.10',
      'requests-oauthlib==2.0.0',
      'grpcio==1.85.3',
      'urllib3==2.8.0',
      'requests==2.34.2',
      'httpx==0.28.1',
    ],
  },
  'mcp-typescript-2': { registry: 'npm', packages: ['@modelcontextprotocol/client@2.4.0'] },
  'mcp-bank': {
    registry: 'npm',
    packages: ['@modelcontextprotocol/server@2.4.0', '@modelcontextprotocol/client@2.4.0'],
  },
  'vercel-ai': { registry: 'npm', packages: ['ai@7.0.173', '@ai-sdk/mcp@2.0.99', '@ai-sdk/openai-compatible@3.0.92'] },
  mastra: {
    registry: 'npm',
    packages: ['@mastra/core@1.71.0', '@mastra/mcp@2.0.0', '@ai-sdk/openai-compatible@3.0.92'],
    isLarge: true,
  },
  pytest: { registry: 'pip', packages: ['pytest==9.2.0'] },
  vitest: { registry: 'npm', packages: ['vitest@5.1.2'] },
  'openid-client': { registry: 'npm', packages: ['openid-client@6.9.0'] },
  'mcp-servers-npm': {
    registry: 'npm',
    packages: [
      '@modelcontextprotocol/server-everything@2026.8.31',
      '@modelcontextprotocol/server-filesystem@2026.8.31',
      '@modelcontextprotocol/server-memory@2026.8.31',
      '@modelcontextprotocol/server-sequential-thinking@2026.8.31',
      '@modelcontextprotocol/server-github@2025.4.8',
      '@modelcontextprotocol/server-gitlab@2025.4.25',
      '@modelcontextprotocol/server-slack@2025.4.25',
      '@modelcontextprotocol/server-brave-search@0.6.2',
      '@modelcontextprotocol/server-google-maps@0.6.2',
      '@modelcontextprotocol/server-everart@0.6.2',
      '@modelcontextprotocol/server-postgres@0.6.2',
    ],
  },
  'mcp-servers-python': {
    registry: 'pip',
    packages: [
      'mcp==1.30.0',
      'mcp-server-calculator==0.2.1',
      'mcp-server-fetch==2026.10.10',
      'mcp-server-git==2026.10.10',
      'mcp-server-time==2026.10.10',
    ],
  },
  'mcp-remote': { registry: 'npm', packages: ['mcp-remote@0.15.1', '@modelcontextprotocol/sdk@1.32.2'] },
} as const satisfies Readonly<Record<string, ClientPackages>>;

/** A client whose packages are installed. */
export type ClientName = keyof typeof clientPackages;

/**
 * Where the packages of a client are installed, whether they are there or not: a folder for `PYTHONPATH`, or one that has `node_modules`. Other
 * versions are in another folder.
 */
export function clientFolder(name: ClientName): string {
  const digest = createHash('sha256').update(clientPackages[name].packages.join(' ')).digest('hex').slice(0, 12);
  return join(cacheFolder, `client-${name}-${digest}`);
}

/** Whether a client is installed and run by `REMIT_THOROUGH=1` alone. */
export const isLargeClient = (name: ClientName): boolean => 'isLarge' in clientPackages[name];

/** At a time: each is a resolver that takes a core. */
const AT_A_TIME = 3;

/** Installs the packages of all clients, without `REMIT_THOROUGH=1` but the large ones, which takes Python 3 with pip, and npm. Quick where it was done before. */
export async function installClients(say: (line: string) => void): Promise<(string | BinaryProblem)[]> {
  const waiting = (Object.keys(clientPackages) as ClientName[]).filter((name) =>
    thoroughly(true, !isLargeClient(name)),
  );
  const results: (string | BinaryProblem)[] = [];
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) results.push(await install(name, say));
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return results;
}

async function install(name: ClientName, say: (line: string) => void): Promise<string | BinaryProblem> {
  const folder = clientFolder(name);
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  const { registry, packages, sources = [] }: ClientPackages = clientPackages[name];
  say(`installing ${packages.join(', ')} into ${folder}`);
  try {
    return await intoCache(folder, async (scratch) => {
      await promisify(execFile)(...installation[registry](scratch, packages, sources));
      return folder;
    });
  } catch (error) {
    const cause = error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);
    return { problem: `could not install the client ${name} with ${registry}: ${cause}` };
  }
}

/** Wheels alone but for some: a source package would run code of its own and need a compiler. */
const PIP = [
  '-m',
  'pip',
  'install',
  '--quiet',
  '--disable-pip-version-check',
  '--only-binary',
  ':all:',
  '--no-compile',
];
const NPM = ['install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts', '--no-save'];

const installation: Readonly<
  Record<
    Registry,
    (folder: string, packages: readonly string[], sources: readonly string[]) => [command: string, args: string[]]
  >
> = {
  pip: (folder, packages, sources) => [
    'python3',
    [...PIP, ...sources.flatMap((name) => ['--no-binary', name]), '--target', folder, ...packages],
  ],
  npm: (folder, packages) => ['npm', [...NPM, '--prefix', folder, ...packages]],
};

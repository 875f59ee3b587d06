import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { thoroughly } from '../thoroughly.ts';
import { cacheFolder } from './cache.ts';

const run = promisify(execFile);

/** A program of `test/clients/frameworks` with an SDK of a language that few machines have, so `REMIT_THOROUGH=1` alone builds and runs it. */
export interface BuiltClient {
  readonly source: string;
  /** What its users call the SDK. */
  readonly called: string;
  readonly version: string;
  /** What it takes. */
  readonly takes: string;
  /** Builds it in an empty folder, to which the source was copied. */
  readonly build: (scratch: string, version: string) => Promise<void>;
}

/** For Cargo. What it depends on has the newest versions that it accepts. */
const cargoManifest = (version: string): string => `[package]
name = "agent"
version = "1.0.0"
edition = "2024"

[[bin]]
name = "agent"
path = "main.rs"

[dependencies]
rmcp = { version = "=${version}", default-features = false, features = ["client", "transport-streamable-http-client-reqwest"] }
serde_json = "1"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
`;

/** For Maven, which copies the jars of the SDK to \`lib\`. */
const mavenProject = (version: string): string => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId>
  <artifactId>agent</artifactId>
  <version>1.0.0</version>
  <dependencies>
    <dependency>
      <groupId>io.modelcontextprotocol.sdk</groupId>
      <artifactId>mcp</artifactId>
      <version>${version}</version>
    </dependency>
  </dependencies>
</project>
`;
const COPY_JARS = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';

export const builtClients = {
  rmcp: {
    source: 'rust/main.rs',
    called: 'rmcp',
    version: '3.11.0',
    takes: 'Rust, and about 2 minutes on 2 cores, once',
    build: async (scratch, version) => {
      await writeFile(join(scratch, 'Cargo.toml'), cargoManifest(version));
      await run('cargo', ['build', '--quiet'], { cwd: scratch });
      await rename(join(scratch, 'target/debug/agent'), join(scratch, 'agent'));
      await rm(join(scratch, 'target'), { recursive: true });
    },
  },
  'mcp-java': {
    source: 'java/Jobs.java',
    called: 'io.modelcontextprotocol.sdk:mcp',
    version: '2.1.0',
    takes: 'a JDK of version 17 or later with Maven, and half a minute, once',
    build: async (scratch, version) => {
      await writeFile(join(scratch, 'pom.xml'), mavenProject(version));
      await run('mvn', ['--quiet', '--batch-mode', COPY_JARS, '-DoutputDirectory=lib'], { cwd: scratch });
      await mkdir(join(scratch, 'classes'));
      await run('javac', ['-cp', 'lib/*', '-d', 'classes', 'Jobs.java'], { cwd: scratch });
    },
  },
} as const satisfies Readonly<Record<string, BuiltClient>>;

export type BuiltClientName = keyof typeof builtClients;

const names = Object.keys(builtClients) as BuiltClientName[];

const sourceOf = (name: BuiltClientName): string =>
  resolve(import.meta.dirname, '../clients/frameworks', builtClients[name].source);

/** Where a program is built, whether it is there or not. Another version or source is in another folder. */
export function builtClientFolder(name: BuiltClientName): string {
  const digest = createHash('sha256')
    .update(builtClients[name].version)
    .update(readFileSync(sourceOf(name)));
  return join(cacheFolder, `client-${name}-${digest.digest('hex').slice(0, 12)}`);
}

/** Builds each program, with `REMIT_THOROUGH=1`; quick if it was done before. */
export async function installBuiltClients(say: (line: string) => void): Promise<(string | BinaryProblem)[]> {
  const results: (string | BinaryProblem)[] = [];
  for (const name of thoroughly(names, [])) results.push(await install(name, say));
  return results;
}

async function install(name: BuiltClientName, say: (line: string) => void): Promise<string | BinaryProblem> {
  const folder = builtClientFolder(name);
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  const { build, called, source, takes, version } = builtClients[name];
  say(`building a program with ${called} ${version} into ${folder} (${takes})`);
  try {
    return await intoCache(folder, async (scratch) => {
      await copyFile(sourceOf(name), join(scratch, source.slice(source.indexOf('/') + 1)));
      await build(scratch, version);
      return folder;
    });
  } catch (error) {
    return { problem: `could not build a program with ${called}, which takes ${takes}: ${String(error)}` };
  }
}

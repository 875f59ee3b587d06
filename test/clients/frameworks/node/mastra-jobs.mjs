import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Agent } from '@mastra/core/agent';
import { MCPClient } from '@mastra/mcp';
import { CALLS, run } from './jobs.mjs';

await run(async (url, prompt) => {
  const client = new MCPClient({ id: prompt, servers: { files: { url: new URL(url) } } });
  try {
    const model = createOpenAICompatible({ name: 'scripted', baseURL: process.env.OPENAI_BASE_URL })('scripted');
    const id = 'keeper';
    const agent = new Agent({ id, name: id, instructions: 'keep files tidy', model, tools: await client.listTools() });
    return (await agent.generate(prompt, { maxSteps: CALLS })).text;
  } finally {
    await client.disconnect();
  }
});

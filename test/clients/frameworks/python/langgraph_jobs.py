from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

import jobs


async def agent(url, prompt):
    client = MultiServerMCPClient({"files": {"transport": "streamable_http", "url": url}})
    async with client.session("files") as session:
        tools = await load_mcp_tools(session)
        model = ChatOpenAI(model="scripted").bind_tools(tools)

        async def ask(state):
            return {"messages": [await model.ainvoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("ask", ask)
        graph.add_node("tools", ToolNode(tools))
        graph.add_edge(START, "ask")
        graph.add_conditional_edges("ask", tools_condition)
        graph.add_edge("tools", "ask")
        result = await graph.compile().ainvoke({"messages": [("user", prompt)]}, {"recursion_limit": 2 * jobs.CALLS})
        return result["messages"][-1].content


jobs.run(agent)

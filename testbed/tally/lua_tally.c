/* A module for Lua 5.3, as haproxy loads it, that is linked to libtally: require("tally").version() is the version that this process really runs. */
#include <lauxlib.h>
#include <lua.h>
#include "tally.h"

static int version(lua_State *l) {
	lua_pushstring(l, tally_version());
	return 1;
}

int luaopen_tally(lua_State *l) {
	lua_newtable(l);
	lua_pushcfunction(l, version);
	lua_setfield(l, -2, "version");
	return 1;
}

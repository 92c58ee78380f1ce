package tales

import "strings"

// What people write that cannot work here, and what to write instead.

const (
	noUser    = "a change carries no user; test object.Creator() or object.creators"
	noRequest = "a change is no request; test fields of the object"
	noTool    = "the site's tools cannot be asked; test fields of the object"
	noParent  = "a change does not carry the container; test the path, as in object.getPhysicalPath()[1] == 'news'"
	noView    = "views cannot be called; test fields of the object"
	noSites   = "a change carries no URL; write object.absolute_url_path()"
	noSchema  = "write the name of the field, as in object.text, or getattr(object, 'text', None)"
	noType    = "compare type names with object.portal_type, or test hasattr(object, 'name')"
	noTales   = "write getattr(object, 'name', None), or begin with the type in front of the whole expression"
)

// missingNames are names that TALES or Python have elsewhere.
var missingNames = map[string]string{
	"user": noUser, "member": noUser, "checkPermission": noUser, "isAnon": noUser, "mtool": noUser,
	"request": noRequest, "REQUEST": noRequest, "options": noRequest, "response": noRequest,
	"portal_catalog": noTool, "portal_membership": noTool, "portal_properties": noTool, "tool": noTool,
	"portal_workflow": "write object.portal_workflow.getInfoFor(object, 'review_state'), or object.review_state",
	"wtool":           "write object.review_state", "workflow": "write object.review_state",
	"container": noParent, "folder": noParent, "parent": noParent, "root": noParent,
	"object_url": noSites, "folder_url": noSites, "portal_url": noSites, "here_url": noSites, "context_url": noSites,
	"view": noView, "template": noView, "views": noView, "plone_view": noView, "globals_view": noView,
	"plone_context_state": noView, "plone_portal_state": noView, "context_state": noView, "plone_interface_info": noType,
	"state_change": "write object, and event for what happened", "status": "write object.review_state",
	"transition": "write event.kind", "scripts": noTool, "kwargs": noRequest,
	"repeat": noTales, "loop": noTales, "attrs": noTales, "CONTEXTS": noTales, "econtext": noTales,
	"path": noTales, "string": noTales, "exists": noTales, "nocall": noTales,
	"item": "write object", "brain": "write object", "obj": "write object", "self": "write object", "o": "write object",
	"true": "write True", "false": "write False", "null": "write None", "none": "write None", "nil": "write None",
	"isinstance": noType, "issubclass": noType, "type": noType, "same_type": noType, "basestring": noType, "callable": noType,
	"long": "write int()", "unichr": "write chr()", "cmp": "write x < y, x == y or x > y",
	"reduce": "write a comprehension, any(), all() or sum()", "pow": "multiply", "round": "write int(x + 0.5)",
	"iter": "write the list itself", "next": "write list(x)[0]", "slice": "write x[a:b]", "frozenset": "write set()",
	"divmod": "write x // y and x % y", "bytes": "write str()",
	"open": "an expression reads nothing but the change", "file": "an expression reads nothing but the change",
	"print": "an expression prints nothing; its value is the answer", "input": "an expression reads nothing but the change",
	"eval": "write the expression itself", "exec": "write the expression itself", "compile": "write the expression itself",
	"globals": noTales, "locals": noTales, "vars": noSchema, "dir": noSchema, "setattr": changes, "delattr": changes,
	"datetime": "write DateTime('2024-01-31')", "time": "write DateTime('2024-01-31')", "date": "write DateTime('2024-01-31')",
	"now": "there is no clock; write event.time for when the change was captured", "ZopeTime": errNow.Error(),
	"re":   "there are no regular expressions; write 'x' in text, text.startswith('x') or text.split('x')",
	"math": "write the arithmetic out", "random": "an expression has the same value whenever it is evaluated", "os": noTales,
	"IFolderish": "write object.is_folderish", "portal_type": "write object.portal_type",
	"review_state": "write object.review_state", "Title": "write object.Title()", "getId": "write object.getId()",
}

func unknownName(name string) error {
	if hint, ok := missingNames[name]; ok {
		return reasonf("there is no %s here; %s", name, hint)
	}
	if strings.HasPrefix(name, "I") && len(name) > 1 && strings.ToUpper(name[1:2]) == name[1:2] {
		return reasonf("there is no interface %s here; %s", name, noType)
	}
	return reasonf("there is no %s here; an expression can begin with object, here, context, event, portal, modules, "+
		"nothing or default; text stands in quotes", name)
}

// missingAttributes are names that no change can answer, whatever its fields are.
var missingAttributes = map[string]string{
	"aq_parent": noParent, "aq_chain": noParent, "getParentNode": noParent, "getFolderWhenPortalFactory": noParent,
	"aq_acquire": noParent, "getPhysicalRoot": noParent, "__parent__": noParent,
	"objectIds": noParent, "objectValues": noParent, "objectItems": noParent, "contentIds": noParent, "contentValues": noParent,
	"listFolderContents": noParent, "getFolderContents": noParent, "listDAVObjects": noParent,
	"restrictedTraverse": noView, "unrestrictedTraverse": noView, "traverse": noView,
	"portal_catalog": noTool, "portal_membership": noTool, "portal_properties": noTool, "portal_url": noSites,
	"portal_types": "write object.portal_type", "portal_actions": noTool, "portal_groups": noTool, "portal_memberdata": noTool,
	"portal_migration": noTool, "portal_factory": noTool, "portal_languages": noTool, "portal_quickinstaller": noTool,
	"plone_utils": noTool, "uid_catalog": noTool, "reference_catalog": noTool, "getTypeInfo": "write object.portal_type",
	"REQUEST": noRequest, "request": noRequest, "getOwner": noUser, "getOwnerTuple": noUser, "get_local_roles": noUser,
	"users_with_local_role": noUser, "wl_isLocked": "a change carries no locks", "getWorkflowDefinition": "write object.review_state",
	"Schema": noSchema, "getField": noSchema, "schema": noSchema, "getPrimaryField": noSchema, "Schemata": noSchema,
	"getObject": "write object itself", "getURL": noSites, "getPath": "write object.absolute_url_path()",
	"providedBy": noType, "implementedBy": noType, "isinstance": noType, "queryMethodID": noView,
	"setTitle": changes, "reindexObject": changes, "manage_delObjects": changes,
	"invokeFactory": changes, "doActionFor": changes, "setattr": changes,
}

func init() {
	for _, name := range []string{
		"isFuture", "isPast", "isCurrentDay", "isCurrentHour", "isCurrentMinute", "isCurrentMonth", "isCurrentYear", "ZopeTime", "isExpired",
	} {
		missingAttributes[name] = errNow.Error()
	}
}

// refusedAttribute refuses names that nothing here has.
func refusedAttribute(name string) error {
	if hint, ok := missingAttributes[name]; ok {
		return reasonf("there is no %s here; %s", name, hint)
	}
	if strings.HasPrefix(name, "_") {
		return reasonf("%s begins with _, which names what is private", name)
	}
	return nil
}

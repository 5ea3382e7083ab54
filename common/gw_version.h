
/* the version of both modules, as in CHANGES */

#ifndef _GW_VERSION_H_INCLUDED_
#define _GW_VERSION_H_INCLUDED_


#define GW_VERSION  "0.1.0"


#endif /* _GW_VERSION_H_INCLUDED_ */

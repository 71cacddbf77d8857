"""Definition -> running lab, behind one seam (:mod:`labctl.lab.runtime`)."""
